"""What can be asked for: exactly what asking would not be refused for want of a right, a policy or a firewall."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.house import SUBSCRIPTION, House, ask, limited, machine, part, policy_id

from jitgate.core.access import Ask
from jitgate.core.decide import Denied
from jitgate.core.machine import Machine
from jitgate.core.resource_id import parse_machine_id
from jitgate.core.roles import AZURE_READS, INITIATE, READ_MACHINE, Limit, Role
from jitgate.service import offers, plans, requests
from jitgate.service.base import Asker
from jitgate.store import catalogue

HERE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate"
FAR = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/far"


async def askable(house: House, by: Asker, text: str = "", limit: int = 30) -> list[str]:
    return [one.name for one in await offers.list_askable(house.service, by, text, limit)]


async def would_not_be_refused(house: House, by: Asker) -> list[str]:
    """By the decision itself, machine by machine."""
    decisions = {one.name: await requests.explain(house.service, by, _for(one, by)) for one in house.machines}
    return sorted(name for name, decision in decisions.items() if not isinstance(decision, Denied))


def _for(one: Machine, by: Asker) -> Ask:
    made = ask(one.name, caller=by.address)
    asked = replace(made.machines[0], id=parse_machine_id(one.id, "machine"))
    return replace(made, machines=(asked,))


def may(asker: Asker, actions: Sequence[str], *scopes: str) -> Asker:
    """The same asker, with these rights at some scope paths and no others."""
    given = asker.principal.assignments[0]
    assignments = tuple(replace(given, role=Role("Some", tuple(actions)), scope=scope) for scope in scopes)
    return replace(asker, principal=replace(asker.principal, assignments=assignments))


@pytest.fixture
async def estate(house: House) -> House:
    """Three machines of ours, two elsewhere under a policy of ours, one of Azure, and some that nobody can ask for."""
    azure = replace(machine("az-1", group="far"), provider="azure")
    bare, classic = machine("bare", group="far"), machine("classic", group="far")
    house.machines += [azure, machine("far-1", group="far"), machine("far-2", group="far"), bare, classic]
    await house.discover()
    await house.put(part("web-1"), part("web-2"), part("db-1"))
    far = [part(name, group="far") for name in ("az-1", "far-1", "far-2", "classic")]
    await house.put(*far, name="other")
    house.machines[-1] = replace(classic, unsupported="classic VM")
    await house.discover()
    return house


SCOPES = [
    ("/",),
    (f"/subscriptions/{SUBSCRIPTION}",),
    (HERE,),
    (FAR.upper().replace("/SUBSCRIPTIONS", "/subscriptions"),),
    (policy_id("other").text,),
    (f"{HERE}/providers/Microsoft.Security/locations/global",),
    (policy_id("default").text, f"{FAR}/providers/Microsoft.Compute/virtualMachines/far-2"),
    (f"{HERE}/providers/Microsoft.Compute/virtualMachines/web-1",),
    (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jit",),
    (),
]


@pytest.mark.parametrize("few", [2000, 1])
async def test_exactly_what_the_decision_would_let_one_have_can_be_chosen(
    estate: House, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the right is given, and whichever of the two ways of looking is taken."""
    monkeypatch.setattr(catalogue, "FEW", few)
    sizes = set()
    nobody = await estate.add_asker("requester", "JIT Requester")
    for scopes in SCOPES:
        for actions in ((INITIATE,), (INITIATE, *AZURE_READS)):
            by = may(nobody, actions, *scopes)
            found = await askable(estate, by)
            assert found == await would_not_be_refused(estate, by), scopes
            sizes.add(len(found))
    assert sizes >= {0, 1, 3, 5, 6}


async def test_a_machine_of_azure_is_named_only_to_who_may_read_it_there(estate: House) -> None:
    requester = await estate.add_asker("requester", "JIT Requester")
    needed = (INITIATE, *AZURE_READS)
    assert "az-1" in await askable(estate, may(requester, needed, "/"))
    for missing in AZURE_READS:
        rest = [action for action in needed if action != missing]
        assert await askable(estate, may(requester, rest, "/")) == ["db-1", "far-1", "far-2", "web-1", "web-2"]


async def test_a_credential_that_is_good_for_less_is_offered_less(estate: House) -> None:
    assert await askable(estate, limited(estate.alice, Limit((INITIATE,), FAR))) == ["far-1", "far-2"]
    assert await askable(estate, limited(estate.alice, Limit((READ_MACHINE,)))) == []


async def test_nothing_is_offered_where_just_in_time_access_is_switched_off(estate: House) -> None:
    await plans.disable_jit(estate.service, estate.alice, HERE, "audit")
    assert await askable(estate, estate.alice) == ["az-1", "far-1", "far-2"]


async def test_machines_to_ask_for_are_searched_as_the_catalogue_is_and_told_by_name(estate: House) -> None:
    estate.machines[2] = replace(estate.machines[2], tags={"Team": "Web"}, name="DB-1")
    await estate.discover()
    assert await askable(estate, estate.alice, "WEB") == ["DB-1", "web-1", "web-2"]
    assert await askable(estate, estate.alice, "team=web") == ["DB-1"]
    assert await askable(estate, estate.alice, "%") == []
    assert await askable(estate, estate.alice, limit=2) == ["az-1", "DB-1"]
