"""Rules that others made: altered with consent only, never lost, and put back when nothing needs it any more."""

from dataclasses import replace

import pytest
from tests.house import HOUR, House, part, port
from tests.stateful.worlds import Interrupted, Killed

from jitgate.audit import Operation, Outcome
from jitgate.connectors.base import ConnectorError, Memory, Plan
from jitgate.core import prefixes
from jitgate.core.alteration import Stage
from jitgate.core.desired import Desired, Protocol
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound
from jitgate.core.guardrail import Enforcement, Guardrail, Limits
from jitgate.core.selector import Selector
from jitgate.service import alterations, guardrails, policies
from jitgate.service.alterations import AlterationsView
from jitgate.store import alterations as rows

ANYONE = prefixes.parse_all(["0.0.0.0/0"], "source")[0]
STRANGER = "192.0.2.99"


async def view(house: House, name: str = "web-1") -> AlterationsView:
    return await alterations.get_alterations(house.service, house.alice, name)


async def stages(house: House, name: str = "web-1") -> list[Stage]:
    return [kept.stage for kept in (await view(house, name)).kept]


async def agree(house: House, name: str = "web-1") -> None:
    """Agree to whatever waits, and have it stand."""
    await alterations.agree(house.service, house.alice, name, (await view(house, name)).digest)
    await house.settle()


async def protect(house: House, *names: str, ports: tuple[int, ...] = (22,)) -> None:
    await house.put(*(part(name, *(port(number, Protocol.TCP) for number in ports)) for name in names))


async def release(house: House) -> None:
    await house.put()


def open_to_all(house: House, *names: str, rule: str = "ssh for all", first: int = 22, last: int = 22) -> None:
    house.firewall.add_foreign(rule, first, last, ANYONE, *(house.machine(name).scope for name in names))


async def test_a_rule_of_others_stays_until_somebody_agrees(house: House) -> None:
    open_to_all(house, "web-1")
    await protect(house, "web-1")
    await house.pass_time(HOUR)
    assert house.reaches("web-1", STRANGER)
    assert await stages(house) == [Stage.PROPOSED]
    await agree(house)
    assert not house.reaches("web-1", STRANGER)
    assert await stages(house) == [Stage.ALTERED]


async def test_the_port_counts_as_not_protected_while_it_waits_and_says_why(house: House) -> None:
    open_to_all(house, "web-1")
    await protect(house, "web-1")
    [problem] = set((await house.state("web-1")).report["protected"].values())
    assert "ssh for all" in problem
    await agree(house)
    assert set((await house.state("web-1")).report["protected"].values()) == {""}


async def test_the_original_is_put_back_when_protection_ends(house: House) -> None:
    open_to_all(house, "web-1", first=0, last=65535)
    await protect(house, "web-1", ports=(22, 3389))
    await agree(house)
    assert not house.reaches("web-1", STRANGER, port=3389)
    await protect(house, "web-1")
    assert house.reaches("web-1", STRANGER, port=3389)
    assert not house.reaches("web-1", STRANGER)
    await release(house)
    assert house.reaches("web-1", STRANGER)
    assert await stages(house) == []
    assert await house.count("alteration") == 0


async def test_a_shared_rule_is_put_back_by_the_last_who_needs_it(house: House) -> None:
    open_to_all(house, "web-1", "web-2")
    await protect(house, "web-1", "web-2")
    await agree(house)
    await house.sweep_soon("web-2")
    await house.settle()
    assert await stages(house, "web-2") == [Stage.ALTERED]
    await protect(house, "web-2")
    await house.pass_time(HOUR)
    assert not house.reaches("web-2", STRANGER), "who needs it no longer has shut others' eyes to who does"
    await release(house)
    assert house.reaches("web-2", STRANGER)


async def test_consent_is_to_what_was_read_and_to_nothing_else(house: House) -> None:
    open_to_all(house, "web-1")
    await protect(house, "web-1")
    read = (await view(house)).digest
    open_to_all(house, "web-1", rule="another")
    await house.sweep_soon("web-1")
    await house.settle()
    with pytest.raises(Conflict):
        await alterations.agree(house.service, house.alice, "web-1", read)
    await house.pass_time(HOUR)
    assert await stages(house) == [Stage.PROPOSED, Stage.PROPOSED]
    assert house.reaches("web-1", STRANGER)


async def test_what_changes_between_consent_and_deed_waits_again(house: House) -> None:
    open_to_all(house, "web-1")
    await protect(house, "web-1")
    await alterations.agree(house.service, house.alice, "web-1", (await view(house)).digest)
    open_to_all(house, "web-1", "web-2")
    await house.settle()
    assert await stages(house) == [Stage.PROPOSED]
    assert house.reaches("web-1", STRANGER)


async def test_what_another_hand_puts_back_is_altered_again(house: House) -> None:
    open_to_all(house, "web-1")
    await protect(house, "web-1")
    await agree(house)
    open_to_all(house, "web-1")
    assert house.reaches("web-1", STRANGER)
    await house.pass_time(HOUR)
    assert not house.reaches("web-1", STRANGER)


async def test_a_proposal_that_others_settle_themselves_is_forgotten(house: House) -> None:
    open_to_all(house, "web-1")
    await protect(house, "web-1")
    house.firewall.remove_foreign("ssh for all")
    await house.pass_time(HOUR)
    assert await stages(house) == []
    with pytest.raises(Conflict, match="Nothing waits"):
        await alterations.agree(house.service, house.alice, "web-1", "")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("ending", [ConnectorError("no"), Killed()])
async def test_nothing_is_lost_however_a_call_ends(house: House, ending: BaseException, after: bool) -> None:
    open_to_all(house, "web-1")
    await protect(house, "web-1")
    await alterations.agree(house.service, house.alice, "web-1", (await view(house)).digest)
    await interrupted(house, ending, after=after)
    await house.pass_time(HOUR)
    assert not house.reaches("web-1", STRANGER)
    assert await stages(house) == [Stage.ALTERED]
    await house.put_only()
    await interrupted(house, ending, after=after)
    await house.pass_time(HOUR)
    assert house.reaches("web-1", STRANGER)
    assert await house.count("alteration") == 0


async def interrupted(house: House, ending: BaseException, *, after: bool) -> None:
    """One look that ends badly; then another process takes over."""
    real = house.firewall
    house.connectors["memory"] = Interrupted(real, ending, after=after)
    try:
        await house.reconciler.reconcile(house.machine("web-1").scope)
    except Killed:
        house.crash()
    house.connectors["memory"] = real


async def test_an_enforcing_guardrail_agrees_to_what_is_one_machines_own(house: House) -> None:
    limits = Limits(enforcement=Enforcement.ENFORCE)
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("enforce", Selector(), limits))
    open_to_all(house, "web-1")
    open_to_all(house, "web-1", "web-2", rule="shared")
    await protect(house, "web-1")
    assert await stages(house) == [Stage.PROPOSED, Stage.ALTERED]
    [agreed] = await house.events(Operation.ALTERATION_AGREE)
    assert agreed.properties["by"] == "a guardrail"


async def test_it_takes_the_right_at_every_machine_concerned(house: House) -> None:
    concerned = [house.machine(name).id for name in ("web-1", "web-2")]
    await protect(house, "web-1")
    open_to_all(house, "web-1")
    await house.sweep_soon("web-1")
    await house.settle()
    [kept] = (await view(house)).kept
    changed = type(kept.alteration)(kept.key, "what", {}, ("tcp/22",), tuple(concerned))
    await house.store.write(lambda tx: rows.put(tx, "memory", kept.scope, changed, kept))
    bob = await house.add_asker("bob", "Owner", concerned[0])
    digest = (await view(house)).digest
    with pytest.raises(Forbidden, match="web-2"):
        await alterations.agree(house.service, bob, "web-1", digest)
    [refused] = await house.events(Operation.ALTERATION_AGREE)
    assert refused.outcome == Outcome.REFUSED
    bob = await house.add_role(bob, "Owner", concerned[1])
    assert (await alterations.agree(house.service, bob, "web-1", digest)).kept[0].agreed_by == "bob"


async def test_the_record_tells_the_whole_story_with_the_original(house: House) -> None:
    open_to_all(house, "web-1")
    await protect(house, "web-1")
    await agree(house)
    await release(house)
    told = [event for event in await house.events() if "alterations" in event.operation]
    assert [(event.operation.rpartition("alterations/")[2], event.outcome) for event in told] == [
        ("proposed", "Accepted"),
        ("agree/action", "Succeeded"),
        ("altered", "Succeeded"),
        ("restore", "Started"),
        ("restore", "Succeeded"),
    ]
    assert told[1].caller == "alice"
    assert all("ssh for all" in str(event.properties) for event in told)
    assert told[2].properties["original"] == {
        "name": "ssh for all",
        "ports": [22, 22],
        "source": ANYONE,
        "scopes": ["memory/web-1"],
    }


# --- previews ---------------------------------------------------------------------------------------------


async def test_a_preview_tells_what_would_be_done_and_changes_nothing(house: House) -> None:
    open_to_all(house, "web-1", "web-2")
    ports = [(22, Protocol.TCP)]
    asked = await alterations.ask_preview(house.service, house.alice, "web-1", ports)
    assert asked.preview.answered_at is None
    await house.settle()
    found = (await alterations.get_preview(house.service, house.alice, asked.preview.uid)).preview
    assert [step[0] for step in found.steps] == ["protect"]
    [alteration] = found.alterations
    assert alteration.concerns == ("memory/web-1", "memory/web-2")
    assert house.reaches("web-1", STRANGER)
    assert await stages(house) == []
    assert (await house.state("web-1")).report["protected"] == {}


async def test_a_preview_of_a_firewall_that_does_not_answer_says_so(house: House) -> None:
    asked = await alterations.ask_preview(house.service, house.alice, "web-1", None)
    real = house.firewall

    class Mute(Interrupted):
        async def plan(self, desired: Desired, memory: Memory) -> Plan:
            raise ConnectorError("the firewall does not answer")

    house.connectors["memory"] = Mute(real, ConnectorError("no"), after=False)
    await house.reconciler.reconcile(house.machine("web-1").scope)
    found = (await alterations.get_preview(house.service, house.alice, asked.preview.uid)).preview
    assert found.answered_at is not None
    assert found.error == "the firewall does not answer"


async def test_a_preview_is_for_who_asked_and_takes_the_right_to_protect(house: House) -> None:
    reader = await house.add_asker("rita", "Reader")
    with pytest.raises(Forbidden):
        await alterations.ask_preview(house.service, reader, "web-1", None)
    asked = await alterations.ask_preview(house.service, house.alice, "web-1", None)
    with pytest.raises(NotFound):
        await alterations.get_preview(house.service, reader, asked.preview.uid)
    with pytest.raises(NotFound):
        await alterations.ask_preview(house.service, reader, "no-such", None)


async def test_a_machine_that_cannot_be_protected_has_no_preview(house: House) -> None:
    house.machines[0] = replace(house.machines[0], unsupported="no firewall")
    await house.discover()
    with pytest.raises(Invalid, match="no firewall"):
        await alterations.ask_preview(house.service, house.alice, house.machines[0].name, None)


async def test_policies_are_as_they_were_after_a_preview(house: House) -> None:
    await alterations.ask_preview(house.service, house.alice, "web-1", None)
    await house.settle()
    page = await policies.list_policies(house.service, house.alice, house.service.settings.subscription)
    assert not page.items
