"""The fake Azure: what it takes, refuses, and how long things take."""

from datetime import timedelta
from typing import Any

import pytest

from jitgate.clock import ManualClock
from jitgate.testing.azure import scenes
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.calls import Fault
from jitgate.testing.azure.messages import Request, Response
from jitgate.testing.azure.scene import SUBSCRIPTION, Scene, rule
from jitgate.testing.azure.throttle import Throttle

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/prod"
NSG = f"{GROUP}/providers/Microsoft.Network/networkSecurityGroups/web-nsg"


def ask(arm: Arm, method: str, target: str, body: object = None, **headers: str) -> Response:
    return arm.handle(Request.to(method, target, body, **headers))


def refused(answer: Response) -> tuple[int, str]:
    return answer.status, answer.body["error"]["code"]


def put_rule(arm: Arm, name: str = "ssh", priority: int = 400, nsg: str = NSG, **more: Any) -> Response:
    return ask(arm, "PUT", f"{nsg}/securityRules/{name}", rule(name, priority, **more))


# --- operations ---------------------------------------------------------------------------------------


def test_a_change_takes_its_time_and_counts_when_it_is_over(arm: Arm, clock: ManualClock) -> None:
    scenes.one_machine(arm)
    arm.world.durations["networkSecurityGroups"] = 5
    begun = put_rule(arm)
    assert (begun.status, begun.body["properties"]["provisioningState"]) == (201, "Updating")
    operation = begun.headers["azure-asyncoperation"]
    under_way = ask(arm, "GET", operation)
    assert (under_way.body["status"], under_way.headers["retry-after"]) == ("InProgress", "1")
    held = arm.world.resources.get(NSG)
    assert held is not None
    assert len(held.effective["properties"]["securityRules"]) == 1, "no packet passes by it yet"
    assert ask(arm, "GET", NSG).body["properties"]["provisioningState"] == "Updating"
    clock.advance(timedelta(seconds=5))
    assert ask(arm, "GET", operation).body == {"status": "Succeeded"}
    assert len(held.effective["properties"]["securityRules"]) == 2
    again = put_rule(arm, description="other")
    assert again.status == 200


def test_a_removed_rule_goes_at_the_end_of_its_operation(arm: Arm, clock: ManualClock) -> None:
    scenes.one_machine(arm)
    arm.world.durations["networkSecurityGroups"] = 5
    begun = ask(arm, "DELETE", f"{NSG}/securityRules/office-web")
    assert begun.status == 202
    assert ask(arm, "GET", begun.headers["location"]).status == 202
    going = ask(arm, "GET", f"{NSG}/securityRules/OFFICE-web")
    assert going.body["properties"]["provisioningState"] == "Deleting"
    clock.advance(timedelta(seconds=5))
    assert ask(arm, "GET", begun.headers["location"]).status == 204
    assert refused(ask(arm, "GET", f"{NSG}/securityRules/office-web")) == (404, "NotFound")
    assert ask(arm, "DELETE", f"{NSG}/securityRules/office-web").status == 204


def test_one_write_at_a_time(arm: Arm, clock: ManualClock) -> None:
    placed = scenes.behind_firewall(arm)
    arm.world.durations |= {"networkSecurityGroups": 5, "azureFirewalls": 240}
    assert put_rule(arm).status == 201
    late = put_rule(arm, "other", 401)
    assert refused(late) == (429, "RetryableError")
    assert late.body["error"]["details"][0]["code"] == "RetryableErrorDueToAnotherOperation"
    firewall = ask(arm, "GET", placed.firewall).body
    assert ask(arm, "PUT", placed.firewall, firewall).status == 200
    assert refused(ask(arm, "PUT", placed.firewall, firewall)) == (409, "AnotherOperationInProgress")
    clock.advance(timedelta(seconds=240))
    assert ask(arm, "PUT", placed.firewall, firewall).status == 200


def test_every_write_makes_another_etag_and_an_older_one_is_refused(arm: Arm) -> None:
    scenes.one_machine(arm)
    old = ask(arm, "GET", NSG).body["etag"]
    put_rule(arm)
    new = ask(arm, "GET", NSG).body["etag"]
    assert new != old
    stale = ask(arm, "PUT", NSG, {"location": "westeurope"}, If_Match=old)
    assert refused(stale) == (412, "PreconditionFailed")
    assert stale.body["error"]["details"][0]["code"] == "PreconditionFailedEtagMismatch"
    assert ask(arm, "PUT", NSG, {"location": "westeurope"}, If_Match=new).status == 200
    assert ask(arm, "PUT", NSG, {"location": "westeurope"}, ETag=old).status == 200, "a header of that name is ignored"


# --- rules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more", "code"),
    [
        ("other", {"priority": 300}, "SecurityRuleConflict"),
        ("AllowVnetInBound", {}, "SecurityRuleConflict"),
        ("other", {"priority": 99}, "SecurityRuleInvalidPriority"),
        ("other", {"priority": 4097}, "SecurityRuleInvalidPriority"),
        ("x" * 81, {}, "InvalidResourceName"),
        ("-x", {}, "InvalidResourceName"),
        ("x.", {}, "InvalidResourceName"),
        ("other", {"description": "x" * 141}, "SecurityRuleDescriptionTooLong"),
        ("other", {"source": ["Internet"]}, "SecurityRuleParameterContainsUnsupportedValue"),
        ("other", {"source": ["192.0.2.1", "2001:db8::1"]}, "SecurityRuleMixedAddressFamilies"),
        ("other", {"source": [f"198.18.{i // 250}.{i % 250}" for i in range(4001)]}, "SecurityGroupAddressPrefix"),
        ("other", {"ports": "22-"}, None),
        ("other", {"ports": "70000"}, "SecurityRuleInvalidPortRange"),
        ("other", {"protocol": "Sctp"}, "InvalidRequestFormat"),
    ],
)
def test_a_rule_that_azure_would_not_take_is_refused(arm: Arm, name: str, more: dict[str, Any], code: str) -> None:
    scenes.one_machine(arm)
    answer = put_rule(arm, name, **{"priority": 400, **more})
    if code is None:
        assert answer.status == 201
        return
    assert answer.status == 400
    assert answer.body["error"]["code"].startswith(code)
    assert set(Scene(arm).rules(NSG)) == {"office-web"}


def test_names_and_descriptions_may_have_their_whole_length(arm: Arm) -> None:
    scenes.one_machine(arm)
    assert put_rule(arm, "x" * 79 + "_", description="x" * 140).status == 201


def test_a_group_holds_a_thousand_rules(arm: Arm) -> None:
    nsg = Scene(arm).nsg("full", *(rule(f"r{number}", 100 + number) for number in range(1000)))
    assert refused(put_rule(arm, "one-more", 2000, nsg)) == (400, "SecurityRuleCountLimitReached")
    assert put_rule(arm, "r7", 107, nsg, access="Deny").status == 200


# --- what is not there, not allowed, not now ----------------------------------------------------------


def test_what_is_not_there_is_told_apart(arm: Arm) -> None:
    scenes.one_machine(arm)
    missing = ask(arm, "GET", NSG.replace("web-nsg", "gone"))
    assert refused(missing) == (404, "ResourceNotFound")
    assert missing.headers["x-ms-failure-cause"] == "gateway"
    assert refused(ask(arm, "GET", NSG.replace("prod", "gone"))) == (404, "ResourceGroupNotFound")
    assert refused(ask(arm, "GET", NSG.replace(SUBSCRIPTION, "gone"))) == (404, "SubscriptionNotFound")
    assert refused(put_rule(arm, nsg=NSG.replace("web-nsg", "gone"))) == (404, "ParentResourceNotFound")


def test_a_lock_forbids_removing_and_a_read_only_one_writing_too(arm: Arm) -> None:
    scene = scenes.one_machine(arm).scene
    lock = scene.lock(GROUP)
    assert refused(ask(arm, "DELETE", f"{NSG}/securityRules/office-web")) == (409, "ScopeLocked")
    assert put_rule(arm).status == 201
    listed = ask(arm, "GET", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/locks")
    assert [each["properties"]["level"] for each in listed.body["value"]] == ["CanNotDelete"]
    scene.lock(GROUP, "ReadOnly")
    assert refused(put_rule(arm)) == (409, "ScopeLocked")
    assert ask(arm, "DELETE", lock).status == 200
    assert put_rule(arm).status == 200


def test_who_lacks_a_permission_is_refused_and_can_read_which_are_there(arm: Arm) -> None:
    scenes.one_machine(arm)
    arm.world.permissions = [{"actions": ["*/read"], "notActions": ["Microsoft.Compute/*"]}]
    assert refused(put_rule(arm)) == (403, "AuthorizationFailed")
    listed = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
    assert refused(ask(arm, "GET", listed)) == (403, "AuthorizationFailed")
    told = ask(arm, "GET", f"{GROUP}/providers/Microsoft.Authorization/permissions")
    assert told.body["value"][0]["notActions"] == ["Microsoft.Compute/*"]


def test_nobody_is_served_without_a_token_or_an_api_version(arm: Arm) -> None:
    scenes.one_machine(arm)
    assert refused(arm.handle(Request("GET", NSG, {"api-version": "1"}))) == (401, "AuthenticationFailed")
    assert refused(arm.handle(Request("GET", NSG, {}, {"authorization": "Bearer x"}))) == (
        400,
        "MissingApiVersionParameter",
    )


def test_whoever_asks_too_much_has_to_wait_as_long_as_it_says(clock: ManualClock) -> None:
    arm = Arm(clock, throttle=Throttle(clock))
    scenes.one_machine(arm)
    answers = [put_rule(arm, f"r{number}", 1000 + number) for number in range(201)]
    assert [each.status for each in answers[:200]] == [201] * 200
    assert answers[0].headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"
    assert refused(answers[200]) == (429, "SubscriptionRequestsThrottled")
    assert ask(arm, "GET", NSG).status == 200, "reads have a budget of their own"
    clock.advance(timedelta(seconds=int(answers[200].headers["retry-after"])))
    assert put_rule(arm, "again", 999).status == 201


def test_the_network_takes_a_thousand_writes_in_five_minutes(clock: ManualClock) -> None:
    arm = Arm(clock, throttle=Throttle(clock, {"reads": (9e9, 1), "writes": (9e9, 1), "deletes": (9e9, 1)}))
    scenes.one_machine(arm)
    gone = f"{NSG}/securityRules/gone"
    assert {ask(arm, "DELETE", gone).status for _ in range(1000)} == {204}
    wait = ask(arm, "DELETE", gone).headers["retry-after"]
    assert wait == "300"
    clock.advance(timedelta(seconds=300))
    assert ask(arm, "DELETE", gone).status == 204


# --- faults and firewalls -----------------------------------------------------------------------------


def test_calls_are_numbered_counted_and_fail_where_they_are_told_to(arm: Arm) -> None:
    scenes.one_machine(arm)
    arm.calls.fail_at(2, Fault.REFUSE)
    arm.calls.fail_next("DELETE securityRules", Fault.THROTTLE)
    answers = [put_rule(arm).status, put_rule(arm).status, put_rule(arm).status]
    assert answers == [201, 500, 200]
    throttled = ask(arm, "DELETE", f"{NSG}/securityRules/ssh")
    assert (throttled.status, throttled.headers["retry-after"]) == (429, "2")
    assert arm.calls.count() == {"PUT securityRules": 3, "DELETE securityRules": 1}
    assert [call.number for call in arm.calls.made] == [1, 2, 3, 4]
    arm.calls.heal()
    assert ask(arm, "DELETE", f"{NSG}/securityRules/ssh").status == 202


def test_two_nat_rules_never_lead_one_port_to_two_places(arm: Arm) -> None:
    placed = scenes.behind_firewall(arm)
    firewall = ask(arm, "GET", placed.firewall).body
    nat = {
        "name": "a",
        "destinationAddresses": ["203.0.113.20"],
        "destinationPorts": ["40022"],
        "protocols": ["TCP"],
        "sourceAddresses": ["198.51.100.7"],
        "translatedAddress": "10.0.1.4",
        "translatedPort": "22",
    }
    collection = {"name": "c", "properties": {"priority": 100, "action": {"type": "Dnat"}, "rules": [nat, nat]}}
    firewall["properties"]["natRuleCollections"] = [collection]
    assert refused(ask(arm, "PUT", placed.firewall, firewall)) == (400, "AzureFirewallNatRuleConflict")
    collection["properties"] = {"priority": 100, "action": {"type": "Dnat"}, "rules": [nat]}
    answer = ask(arm, "PUT", placed.firewall, {**firewall, "zones": ["1"]})
    assert answer.status == 200
    kept = ask(arm, "GET", placed.firewall).body
    assert kept["zones"] == ["1"], "what nobody knows is kept"
    assert kept["properties"]["threatIntelMode"] == "Alert"


def test_a_machine_made_again_is_another_one(arm: Arm) -> None:
    placed = scenes.one_machine(arm)
    [machine] = placed.machines
    first = ask(arm, "GET", machine).body
    ask(arm, "DELETE", machine)
    assert refused(ask(arm, "GET", machine)) == (404, "ResourceNotFound")
    made = {name: value for name, value in first["properties"].items() if name != "vmId"}
    again = ask(arm, "PUT", machine, {**first, "properties": made})
    assert again.status == 201
    assert again.body["properties"]["vmId"] != first["properties"]["vmId"]
