"""Asking for access as the contract's clients do, and as the real service answers them."""

import time
from typing import Any

import pytest
from tests.contract.arm import SOURCE, Arm, error, eventually, later, port, rule
from tests.server import Server

from jitgate.core.access import State
from jitgate.core.roles import OWNER, Assignment, Principal
from jitgate.service import grants
from jitgate.service.base import Asker


def opened(server: Server) -> set[str]:
    """Who can reach port 22 of web-1, as the firewall has it."""
    return {str(key.prefix) for key in server.connector.standing("memory/web-1") if key.port == 22}


def asked(arm: Arm, *ports: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    answer = arm.initiate({**arm.ask(*ports), **more})
    assert answer.status_code == 202, answer.text
    found: list[dict[str, Any]] = answer.json()["virtualMachines"][0]["ports"]
    return found


def test_the_answer_has_the_shape_that_was_recorded_from_the_real_service(arm: Arm) -> None:
    arm.put()
    end = later(hours=2)
    answer = arm.initiate(arm.ask(port(duration=None, endTimeUtc=end)))
    body = answer.json()
    assert answer.status_code == 202
    assert body == {
        "virtualMachines": [
            {
                "id": arm.server.machine_id("web-1"),
                "ports": [
                    {
                        "number": 22,
                        "allowedSourceAddressPrefix": SOURCE,
                        "endTimeUtc": end,
                        "status": "Initiating",
                        "statusReason": "UserRequested",
                    }
                ],
            }
        ],
        "startTimeUtc": body["startTimeUtc"],
        "requestor": "owner",
    }
    assert len(body["startTimeUtc"]) == len("2022-11-17T09:44:51.5874583Z")
    assert "Location" not in answer.headers


def test_the_202_says_initiating_and_later_reads_say_initiated(arm: Arm) -> None:
    """Case RA9."""
    arm.put()
    assert asked(arm)[0]["status"] == "Initiating"
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested"])


@pytest.mark.parametrize("version", ["2020-01-01", "2015-06-01-preview"])
def test_a_duration_stands_instead_of_an_end_and_the_end_is_shown(arm: Arm, version: str) -> None:
    """Cases RA1 and RA19."""
    arm.put()
    answer = arm.call("POST", f"{arm.path()}/initiate", arm.ask(port(duration="PT2H")), version=version)
    assert answer.status_code == 202
    start, end = answer.json()["startTimeUtc"], answer.json()["virtualMachines"][0]["ports"][0]["endTimeUtc"]
    assert later(minutes=119) < end < later(minutes=121)
    assert start < end


@pytest.mark.parametrize(
    "changes", [{"duration": None}, {"endTimeUtc": later(hours=1)}, {"duration": None, "end": "x"}]
)
def test_neither_end_nor_duration_and_both_are_refused_before_the_policy_is_looked_up(
    arm: Arm, changes: dict[str, Any]
) -> None:
    """Cases RA2, RA4 and RA15."""
    found = error(arm.initiate(arm.ask(port(**changes)), arm.path("missing")), 400, "InvalidInitiateInput")
    assert found["target"] == "virtualMachines[0].ports[0].endTimeUtc"


def test_a_good_body_for_a_missing_policy_is_policy_not_found(arm: Arm) -> None:
    """Case RA4."""
    error(arm.initiate(path=arm.path("missing")), 404, "PolicyNotFound")


def test_a_list_of_sources_opens_for_each_of_them(arm: Arm, server: Server) -> None:
    """Cases RA3 and PV6."""
    arm.put()
    sources = [SOURCE, "2001:db8::7", "198.51.100.0/24"]
    shown = asked(arm, port(allowedSourceAddressPrefix=None, allowedSourceAddressPrefixes=sources))
    assert shown[0]["allowedSourceAddressPrefixes"] == sources
    eventually(lambda: opened(server) == {f"{SOURCE}/32", "2001:db8::7/128", "198.51.100.0/24"})


def test_a_source_that_is_left_out_is_the_address_that_the_call_comes_from(arm: Arm, server: Server) -> None:
    arm.put()
    shown = asked(arm, port(allowedSourceAddressPrefix=None))
    assert shown[0]["allowedSourceAddressPrefix"] == "127.0.0.1"
    eventually(lambda: opened(server) == {"127.0.0.1/32"})


def test_a_forwarding_header_that_anybody_can_write_does_not_choose_the_source(arm: Arm) -> None:
    arm.put()
    arm.client.headers["X-Forwarded-For"] = "198.51.100.66"
    assert asked(arm, port(allowedSourceAddressPrefix=None))[0]["allowedSourceAddressPrefix"] == "127.0.0.1"


def test_an_address_inside_an_allowed_range_is_allowed(arm: Arm) -> None:
    """Case PV1."""
    arm.put(
        arm.policy(rule(allowedSourceAddressPrefix=None, allowedSourceAddressPrefixes=["10.21.254.0/24", "fd00::/8"]))
    )
    for inside in ("10.21.254.85", "10.21.254.128/25", "fd00:1::/64"):
        asked(arm, port(allowedSourceAddressPrefix=inside))


@pytest.mark.parametrize(
    ("changes", "target", "said"),
    [
        ({"allowedSourceAddressPrefix": "10.22.0.1"}, "allowedSourceAddressPrefix", ["10.22.0.1", "10.21.254.0/24"]),
        ({"allowedSourceAddressPrefix": "10.21.254.0/23"}, "allowedSourceAddressPrefix", ["10.21.254.0/24"]),
        ({"allowedSourceAddressPrefix": "*"}, "allowedSourceAddressPrefix", ["10.21.254.0/24"]),
        ({"number": 23}, "number", ["23", "22 (TCP)"]),
        ({"duration": "PT3H1S"}, "duration", ["3 h", "PT3H"]),
        ({"duration": "PT0S"}, "duration", ["later than"]),
        ({"duration": None, "endTimeUtc": later(hours=4)}, "endTimeUtc", ["PT3H"]),
        ({"duration": None, "endTimeUtc": later(hours=-1)}, "endTimeUtc", ["UTC", "later than"]),
    ],
)
def test_a_request_outside_the_policy_names_machine_port_property_and_both_values(
    arm: Arm, changes: dict[str, Any], target: str, said: list[str]
) -> None:
    """Case PV2."""
    arm.put(arm.policy(rule(allowedSourceAddressPrefix="10.21.254.0/24")))
    found = error(
        arm.initiate(arm.ask(port(**{"allowedSourceAddressPrefix": "10.21.254.1", **changes}))), 400, "RequestRefused"
    )
    details = [detail for detail in found["details"] if detail["target"] == f"virtualMachines[0].ports[0].{target}"]
    assert len(details) == 1, found
    assert all(text in details[0]["message"] for text in ["web-1", *said]), details
    assert not arm.ports()


def test_all_ports_of_all_machines_are_granted_or_none(arm: Arm) -> None:
    both = {"properties": {"virtualMachines": [arm.machine(name, [rule()]) for name in ("web-1", "web-2")]}}
    arm.put(both)
    bad = {"virtualMachines": [arm.machine("web-1", [port()]), arm.machine("web-2", [port(number=23)])]}
    found = error(arm.initiate(bad), 400, "RequestRefused")
    assert found["target"] == "virtualMachines[1].ports[0].number"
    assert not arm.ports()
    good = {"virtualMachines": [arm.machine(name, [port()]) for name in ("web-1", "web-2")]}
    assert arm.initiate(good).status_code == 202
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested"] * 2)


def test_a_newer_request_that_covers_an_older_one_takes_its_place_without_a_gap(arm: Arm, server: Server) -> None:
    """Case RA17; also when its end is earlier."""
    arm.put()
    asked(arm, port(duration="PT2H"))
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested"])
    asked(arm, port(allowedSourceAddressPrefix="203.0.113.0/24", duration="PT1H"))
    assert arm.statuses()[0] == "Revoked/NewerRequestInitiated"
    while arm.statuses()[1] != "Initiated/UserRequested":
        assert opened(server), "there was a gap"
    eventually(lambda: opened(server) == {"203.0.113.0/24"})


def test_a_request_from_elsewhere_lives_beside_it(arm: Arm) -> None:
    arm.put()
    asked(arm)
    asked(arm, port(allowedSourceAddressPrefix="198.51.100.1"))
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested"] * 2)


def test_an_early_close_shows_as_revoked_by_the_user(arm: Arm, server: Server) -> None:
    arm.put()
    asked(arm)
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested"])
    close_all(server)
    eventually(lambda: arm.statuses() == ["Revoked/UserRequested"])
    eventually(lambda: not opened(server))


def close_all(server: Server) -> None:
    asker = Asker(Principal("nobody", "nobody", (Assignment(OWNER, "/"),)))
    page = server.call(grants.list_grants(server.service, asker, state=[State.OPENING, State.OPEN]))
    for view in page.items:
        server.call(grants.close_grant(server.service, asker, view.grant.uid))


def test_an_ended_request_stays_listed_as_expired(arm: Arm, server: Server) -> None:
    """The real service lists them for days."""
    arm.put()
    asked(arm, port(duration="PT1S"))
    time.sleep(1)
    eventually(lambda: arm.statuses() == ["Revoked/Expired"])
    assert not opened(server)


def test_one_machine_in_two_policies_is_opened_by_either(arm: Arm) -> None:
    """Case RA18."""
    other = arm.path("default", location="northeurope")
    arm.put()
    arm.put(arm.policy(rule(allowedSourceAddressPrefix="198.51.100.0/24")), other)
    error(arm.initiate(path=other), 400, "RequestRefused")
    assert arm.initiate().status_code == 202
    assert arm.initiate(arm.ask(port(allowedSourceAddressPrefix="198.51.100.1")), other).status_code == 202
    eventually(lambda: arm.statuses() + arm.statuses(other) == ["Initiated/UserRequested"] * 2)


def test_a_machine_is_named_as_it_was_asked_for(arm: Arm) -> None:
    """Case RA7."""
    arm.put()
    ask = arm.ask()
    ask["virtualMachines"][0]["id"] = odd = ask["virtualMachines"][0]["id"].replace("resourceGroups", "RESOURCEgroups")
    answer = arm.call("POST", arm.path().upper() + "/Initiate", ask)
    assert answer.status_code == 202
    assert answer.json()["virtualMachines"][0]["id"] == odd
    assert arm.get()["properties"]["requests"][0]["virtualMachines"][0]["id"] == odd


@pytest.mark.parametrize("source", ["203.0.113.7 203.0.113.9", "203.0.113.7,203.0.113.9"])
def test_several_sources_in_one_text_open_for_each(arm: Arm, server: Server, source: str) -> None:
    """Case RA20."""
    arm.put()
    assert asked(arm, port(allowedSourceAddressPrefix=source))[0]["allowedSourceAddressPrefix"] == source
    eventually(lambda: opened(server) == {"203.0.113.7/32", "203.0.113.9/32"})


def test_a_justification_is_kept(arm: Arm) -> None:
    arm.put()
    asked(arm, justification="INC-7 — “quoted” 👍")
    assert arm.get()["properties"]["requests"][0]["justification"] == "INC-7 — “quoted” 👍"
