"""Exposure for any kind of firewall: first match, unions, lists of networks, ways in."""

from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach
from jitgate.core.exposure.addresses import EVERY_IPV4, EVERYWHERE, of_name, of_prefixes
from jitgate.core.exposure.analysis import Place, Way, exposures
from jitgate.core.exposure.layers import Layer, Rule, Verdict

OFFICE, ANY = of_prefixes(["198.51.100.0/24"]), EVERYWHERE
SSH = ((22, 22),)
PUBLIC = Way("", EVERY_IPV4 | of_name("Sql"))


def allow(id: str, sources: object = ANY, **more: object) -> Rule:
    return Rule(id, Verdict.ALLOW, sources, SSH, Protocol.TCP, **more)  # type: ignore[arg-type]


def deny(id: str, sources: object = ANY, **more: object) -> Rule:
    return Rule(id, Verdict.DENY, sources, SSH, Protocol.TCP, **more)  # type: ignore[arg-type]


def look(*layers: Layer, ways: tuple[Way, ...] = (PUBLIC,)) -> Exposure | None:
    found = exposures([Place("10.0.0.4", layers, ways)], [(22, Protocol.TCP)])
    assert len(found) < 2
    return found[0] if found else None


def test_the_first_rule_that_fits_decides() -> None:
    found = look(Layer([allow("office", OFFICE), deny("shut"), allow("late")]))
    assert found is not None
    assert (found.reach, found.sources, found.rules) == (Reach.SPECIFIC, ("198.51.100.0/24",), ("office",))
    assert look(Layer([deny("shut"), allow("late")])) is None


def test_a_deny_of_ours_is_effective_only_while_nothing_goes_past_it() -> None:
    ours = deny("jit-deny", ours=True)
    held = look(Layer([ours, allow("ssh")]))
    assert held is not None
    assert (held.effective_deny, held.reach, held.rules) == (True, Reach.ANYONE, ("ssh",)), "who would get in"
    leaky = look(Layer([allow("office", OFFICE), ours, allow("ssh")]))
    assert leaky is not None
    assert (leaky.effective_deny, leaky.reach, leaky.rules) == (False, Reach.SPECIFIC, ("office",))
    assert look(Layer([ours])) is None, "nobody would"


def test_what_was_granted_is_no_exposure() -> None:
    granted = allow("jit-allow", of_prefixes(["203.0.113.9"]), ours=True)
    found = look(Layer([granted, deny("jit-deny", ours=True), allow("ssh")]))
    assert found is not None
    assert found.effective_deny


def test_every_layer_has_to_let_it_pass_and_one_that_says_always_ends_it() -> None:
    inner = Layer([allow("inner", OFFICE)])
    assert look(Layer([deny("outer")]), inner) is None
    both = look(Layer([allow("outer")]), inner)
    assert both is not None
    assert both.rules == ("outer", "inner")
    always = Rule("admin", Verdict.ALWAYS, OFFICE, SSH, Protocol.TCP)
    past = look(Layer([always], Verdict.ALLOW), Layer([deny("jit-deny", ours=True)]))
    assert past is not None
    assert (past.rules, past.effective_deny) == (("admin",), False)


def test_a_union_of_groups_is_a_layer_without_denials() -> None:
    """As security groups of AWS, behind the access list of their subnet, which reads its own rules in order."""
    groups = Layer([allow("sg-1", OFFICE), Rule("sg-2", Verdict.ALLOW, of_prefixes(["10.0.0.0/8"]))])
    acl = Layer([deny("10", of_prefixes(["198.51.100.0/25"])), Rule("100", Verdict.ALLOW, ANY)])
    found = look(acl, groups)
    assert found is not None
    assert found.sources == ("10.0.0.0/8", "198.51.100.128/25")
    assert set(found.rules) == {"100", "sg-1", "sg-2"}


def test_without_a_way_from_the_internet_only_those_inside_get_there() -> None:
    found = look(Layer([allow("ssh")]), ways=())
    assert found is not None
    assert found.reach is Reach.INTERNAL
    assert look(Layer([allow("office", OFFICE)]), ways=()) is None


def test_by_a_firewall_its_own_rule_says_who_and_the_group_sees_the_firewall() -> None:
    inside = of_prefixes(["10.0.250.0/24"])
    way = Way("fw/ssh", OFFICE, inside, frozenset({(22, Protocol.TCP)}))
    found = look(Layer([allow("from-firewall", inside), deny("rest")]), ways=(way,))
    assert found is not None
    assert (found.reach, found.note) == (Reach.SPECIFIC, "by way of fw/ssh")
    assert "198.51.100.0/24" in found.sources
    shut = look(Layer([deny("all")]), ways=(way,))
    assert shut is None


def test_names_that_nobody_knows_are_kept_and_never_taken_for_addresses() -> None:
    sql = of_name("Sql")
    found = look(Layer([deny("office", OFFICE), allow("sql", sql)]))
    assert found is not None
    assert (found.sources, found.reach) == (("Sql",), Reach.SPECIFIC)
    assert look(Layer([deny("sql", sql), allow("sql-again", sql)])) is None
    all_but = look(Layer([deny("sql", sql), allow("ssh")]))
    assert all_but is not None
    assert all_but.reach is Reach.ANYONE


def test_a_condition_lets_in_and_is_told_but_never_keeps_out() -> None:
    odd = allow("odd", condition="from source ports 53")
    found = look(Layer([odd]))
    assert found is not None
    assert found.note == "odd only from source ports 53"
    assert look(Layer([deny("odd", condition="from source ports 53"), allow("ssh")])) is not None


def test_so_much_of_the_internet_is_anyone() -> None:
    halves = of_prefixes(["0.0.0.0/1"])
    found = look(Layer([allow("half", halves)]))
    assert found is not None
    assert (found.reach, found.sources) == (Reach.ANYONE, ("0.0.0.0/0",))
    one_of_many = look(Layer([allow("big", of_prefixes(["20.0.0.0/8"]))]))
    assert one_of_many is not None
    assert one_of_many.reach is Reach.SPECIFIC
