"""Guardrails: the strictest holds, whichever order they come in, and giving any of it up is noticed."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core import strategies
from tests.unit.core.examples import (
    ALICE,
    BOB,
    DAY,
    GROUP,
    HOUR,
    MINUTE,
    NOW,
    OFFICE,
    length,
    make_ask,
    make_guardrail,
    make_machine,
    make_policy,
    make_port,
    make_principal,
    make_rule,
)

from jitgate.core import guardrail
from jitgate.core.access import Ask, Span
from jitgate.core.decide import Allowed, NeedsApproval, decide
from jitgate.core.desired import SessionEnd
from jitgate.core.errors import Invalid
from jitgate.core.guardrail import Enforcement, Guardrail, Limits, Strictest, is_looser, matches, strictest
from jitgate.core.policy import MOST_SOURCES
from jitgate.core.prefixes import Prefix
from jitgate.core.selector import Selector

MACHINE = make_machine(tags={"env": "prod", "Team": "Web"})


def held(*guardrails: Guardrail, port: int = 22) -> Strictest:
    return strictest(guardrails, MACHINE, port)


# --- whom it covers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "covered"),
    [
        (Selector(), True),
        (Selector(GROUP), True),
        (Selector(GROUP.upper()), True),
        (Selector(MACHINE.id), True),
        (Selector(GROUP + "0"), False),
        (Selector(GROUP[:-1]), False),
        (Selector(tags={"env": "prod"}), True),
        (Selector(tags={"env": "prod", "team": "Web"}), True),
        (Selector(tags={"ENV": "prod"}), True),
        (Selector(tags={"env": "Prod"}), False),
        (Selector(tags={"env": "test"}), False),
        (Selector(tags={"env": "prod", "owner": "ann"}), False),
        (Selector(ports=frozenset({22, 3389})), True),
        (Selector(ports=frozenset({3389})), False),
        (Selector(GROUP, {"env": "prod"}, frozenset({22})), True),
        (Selector(GROUP, {"env": "prod"}, frozenset({23})), False),
    ],
)
def test_a_guardrail_covers_what_its_scope_tags_and_ports_all_select(selector: Selector, *, covered: bool) -> None:
    assert selector.covers(MACHINE, 22) is covered


def test_where_no_guardrail_covers_a_port_it_is_enforced_without_further_limits() -> None:
    assert held(make_guardrail(selector=Selector(GROUP + "0"), approvals=2)) == guardrail.NO_LIMITS
    assert guardrail.NO_LIMITS.enforcement is Enforcement.ENFORCE


# --- the strictest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "loose", "strict", "name"),
    [
        ("approvals", 1, 2, "approvals"),
        ("reason_required", False, True, "reason_required"),
        ("session", SessionEnd.KEEP, SessionEnd.END, "session"),
        ("session", None, SessionEnd.END, "session"),
        ("caller_only", False, True, "caller_only"),
        ("max_duration", 2 * HOUR, HOUR, "max_duration"),
        ("max_duration", None, HOUR, "max_duration"),
        ("approval_wait", 2 * HOUR, HOUR, "approval_wait"),
        ("approval_wait", None, HOUR, "approval_wait"),
        ("enforcement", Enforcement.OBSERVE, Enforcement.ENFORCE, "enforcement"),
    ],
)
def test_of_two_limits_the_stricter_holds_whichever_comes_first(limit: str, loose: Any, strict: Any, name: str) -> None:
    a, b = make_guardrail("a", **{limit: loose}), make_guardrail("b", **{limit: strict})
    c, d = make_guardrail("c", **{limit: strict}), make_guardrail("d", **{limit: loose})
    assert [getattr(held(*rails), name) for rails in ([a, b], [b, a], [c, d], [d, c])] == [strict] * 4


def test_sources_and_patterns_of_all_guardrails_hold_together() -> None:
    one = make_guardrail("a", sources=(OFFICE,), reason_pattern="INC-*")
    other = make_guardrail("b", sources=(ALICE, BOB), reason_pattern="*#")
    found = held(other, one)
    assert found.source_sets == ((OFFICE,), (ALICE, BOB))
    assert found.reason_patterns == ("INC-*", "*#")


def test_those_that_ask_for_approvals_are_named_and_no_others() -> None:
    rails = [make_guardrail("b", approvals=1), make_guardrail("a", approvals=2), make_guardrail("c", max_duration=HOUR)]
    assert held(*rails).ask_approval == ("a", "b")


def test_a_pattern_implies_that_there_is_a_reason() -> None:
    assert held(make_guardrail(reason_pattern="*")).reason_required


def test_observing_needs_every_guardrail_that_speaks_of_it() -> None:
    observe, silent = make_guardrail("a", enforcement=Enforcement.OBSERVE), make_guardrail("b", approvals=1)
    enforce = make_guardrail("c", enforcement=Enforcement.ENFORCE)
    assert held(observe, silent).enforcement is Enforcement.OBSERVE
    assert held(observe, silent, enforce).enforcement is Enforcement.ENFORCE
    assert held(silent).enforcement is Enforcement.ENFORCE


def test_a_zero_is_a_limit_and_not_the_lack_of_one() -> None:
    """However it got there: nothing is allowed for zero seconds, which must not read as "for ever"."""
    assert held(make_guardrail(max_duration=timedelta(0))).max_duration == timedelta(0)


@given(st.lists(strategies.limits, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_guardrails_does_not_matter(found: list[Limits], random: Any) -> None:
    rails = [Guardrail(f"rail-{at}", Selector(), limits) for at, limits in enumerate(found)]
    shuffled = random.sample(rails, len(rails))
    assert held(*shuffled) == held(*rails)


# --- loosening ---------------------------------------------------------------------------------------

LOOSENED = [
    ({"approvals": 2}, {"approvals": 1}),
    ({"reason_required": True}, {}),
    ({"reason_pattern": "INC-#"}, {}),
    ({"reason_pattern": "INC-#"}, {"reason_pattern": "INC-*"}),
    ({"session": SessionEnd.END}, {}),
    ({"session": SessionEnd.END}, {"session": SessionEnd.KEEP}),
    ({"caller_only": True}, {}),
    ({"sources": (OFFICE,)}, {}),
    ({"sources": (ALICE,)}, {"sources": (OFFICE,)}),
    ({"sources": (ALICE,)}, {"sources": (ALICE, BOB)}),
    ({"max_duration": HOUR}, {}),
    ({"max_duration": HOUR}, {"max_duration": 2 * HOUR}),
    ({"approval_wait": HOUR}, {}),
    ({"approval_wait": HOUR}, {"approval_wait": 2 * HOUR}),
    ({}, {"approval_wait": 25 * HOUR}),
    ({}, {"enforcement": Enforcement.OBSERVE}),
    ({"enforcement": Enforcement.ENFORCE}, {"enforcement": Enforcement.OBSERVE}),
    # Another guardrail's "observe" holds where no other says "enforce".
    ({"enforcement": Enforcement.ENFORCE}, {}),
]

TIGHTENED = [
    ({"approvals": 1}, {"approvals": 2}),
    ({}, {"reason_required": True}),
    ({}, {"reason_pattern": "INC-#"}),
    ({"session": SessionEnd.KEEP}, {"session": SessionEnd.END}),
    ({}, {"caller_only": True}),
    ({}, {"sources": (OFFICE,)}),
    ({"sources": (OFFICE,)}, {"sources": (ALICE, BOB)}),
    ({}, {"max_duration": HOUR}),
    ({"max_duration": 2 * HOUR}, {"max_duration": HOUR}),
    ({}, {"approval_wait": HOUR}),
    ({"approval_wait": 48 * HOUR}, {"approval_wait": 30 * HOUR}),
    ({"enforcement": Enforcement.OBSERVE}, {}),
    ({"enforcement": Enforcement.OBSERVE}, {"enforcement": Enforcement.ENFORCE}),
    ({}, {"enforcement": Enforcement.ENFORCE}),
]


@pytest.mark.parametrize(("was", "now"), LOOSENED)
def test_giving_up_any_demand_is_loosening(was: dict[str, Any], now: dict[str, Any]) -> None:
    assert is_looser(make_guardrail(**now), make_guardrail(**was))


@pytest.mark.parametrize(("was", "now"), TIGHTENED)
def test_demanding_more_is_not_loosening(was: dict[str, Any], now: dict[str, Any]) -> None:
    assert not is_looser(make_guardrail(**now), make_guardrail(**was))


def test_removing_is_loosening_and_changing_nothing_is_not() -> None:
    old = make_guardrail()
    assert is_looser(None, old)
    assert not is_looser(replace(old), old)
    assert not is_looser(None, None)


@pytest.mark.parametrize("selector", [Selector(GROUP), Selector(tags={"a": "b"}), Selector(ports=frozenset({22}))])
def test_covering_others_than_before_is_loosening(selector: Selector) -> None:
    assert is_looser(make_guardrail(selector=selector), make_guardrail())
    assert is_looser(make_guardrail(), make_guardrail(selector=selector))


def test_adding_one_loosens_only_what_would_hold_by_itself() -> None:
    assert not is_looser(make_guardrail(approvals=1, approval_wait=DAY), None)
    assert is_looser(make_guardrail(enforcement=Enforcement.OBSERVE), None)
    assert is_looser(make_guardrail(approval_wait=2 * DAY), None)


SPANS = [None, Span(duration=length("PT1H")), Span(end=NOW + 90 * MINUTE)]
asks = st.builds(
    lambda sources, span, said, caller: make_ask(
        make_port(sources=sources, span=span), justification=said, caller=caller
    ),
    strategies.narrow_lists,
    st.sampled_from(SPANS),
    st.sampled_from(["INC-7 disk full", "", "CHG-9", "because"]),
    st.none() | st.sampled_from(strategies.ADDRESSES),
)


def outcome(ask: Ask, rails: Sequence[Guardrail]) -> tuple[int, timedelta, timedelta]:
    """What is allowed, greater the more it is: agreement (fewer are more), time to agree, length of access."""
    decision = decide(ask, [make_policy(make_rule())], {MACHINE.key: MACHINE}, rails, make_principal(), NOW)
    if not isinstance(decision, Allowed | NeedsApproval):
        return -100, timedelta(0), timedelta(0)
    lasts = decision.terms[0].span.end_from(NOW) - NOW
    if isinstance(decision, Allowed):
        return 0, timedelta.max, lasts
    return -decision.approvals, decision.wait, lasts


def must_not_allow_more(ask: Ask, after: Sequence[Guardrail], before: Sequence[Guardrail]) -> None:
    (agreed, wait, lasts), (had_agreed, had_wait, had_lasted) = outcome(ask, after), outcome(ask, before)
    assert agreed <= had_agreed
    assert wait <= had_wait
    assert lasts <= had_lasted
    now, was = held(*after), held(*before)
    assert (was.session, now.session) != (SessionEnd.END, SessionEnd.KEEP)
    assert (was.enforcement, now.enforcement) != (Enforcement.ENFORCE, Enforcement.OBSERVE)


@given(strategies.guardrails(), st.lists(strategies.limits, max_size=2), asks)
def test_an_added_guardrail_that_is_not_called_looser_allows_nothing_more(
    new: Guardrail, others: list[Limits], ask: Ask
) -> None:
    beside = [Guardrail(f"other-{at}", Selector(), limits) for at, limits in enumerate(others)]
    if not is_looser(new, None):
        must_not_allow_more(ask, [*beside, new], beside)


@given(strategies.limits, strategies.limits, st.lists(strategies.limits, max_size=2), asks)
def test_a_change_that_is_not_called_looser_allows_nothing_more(
    old: Limits, new: Limits, others: list[Limits], ask: Ask
) -> None:
    """Limit by limit, so that no strict one hides a loosened one; whatever other guardrails say beside it."""
    beside = [Guardrail(f"other-{at}", Selector(), limits) for at, limits in enumerate(others)]
    before = Guardrail("rail", Selector(), old)
    for name in Limits.__dataclass_fields__:
        after = replace(before, limits=replace(before.limits, **{name: getattr(new, name)}))
        if not is_looser(after, before):
            must_not_allow_more(ask, [*beside, after], [*beside, before])
            before = after
    assert not is_looser(before, Guardrail("rail", Selector(), old))


# --- what could never work ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"approvals": -1}, "limits.approvals"),
        ({"approvals": 11}, "limits.approvals"),
        ({"max_duration": timedelta(0)}, "limits.maxDuration"),
        ({"max_duration": -HOUR}, "limits.maxDuration"),
        ({"approval_wait": timedelta(0)}, "limits.approvalWait"),
        ({"sources": ()}, "limits.sources"),
        ({"sources": (ALICE,) * (MOST_SOURCES + 1)}, "limits.sources"),
        ({"reason_pattern": ""}, "limits.reasonPattern"),
        ({"reason_pattern": "x" * 201}, "limits.reasonPattern"),
        ({"reason_pattern": "***"}, "limits.reasonPattern"),
    ],
)
def test_what_could_never_work_is_refused_with_its_field(limits: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        guardrail.check(make_guardrail(**limits))
    assert refusal.value.reason.field == field
    assert refusal.value.reason.allowed


@pytest.mark.parametrize("scope", ["", "subscriptions/x", "web-1", "*"])
def test_a_guardrail_that_would_cover_nobody_is_refused(scope: str) -> None:
    with pytest.raises(Invalid) as refusal:
        guardrail.check(make_guardrail(selector=Selector(scope)))
    assert refusal.value.reason.field == "selector.scope"


@pytest.mark.parametrize("limits", [{}, {"sources": (ALICE,), "reason_pattern": "#", "approvals": 1}])
def test_a_guardrail_that_says_little_is_accepted(limits: dict[str, Any]) -> None:
    assert guardrail.check(make_guardrail(**limits)).limits == Limits(**({"approvals": 0} | limits))


def test_every_limit_at_its_most_is_accepted() -> None:
    most = make_guardrail(
        approvals=10,
        reason_pattern="*" + "#" * 198 + "*",
        sources=tuple(Prefix(f"198.51.100.{n}/32") for n in range(MOST_SOURCES)),
        max_duration=timedelta(seconds=1),
        approval_wait=timedelta(seconds=1),
    )
    assert guardrail.check(most) is most


# --- patterns of reasons -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "said", "fits"),
    [
        ("INC-#*", "INC-1234 disk full", True),
        ("INC-#*", "inc-1", True),
        ("INC-#*", "INC-", False),
        ("INC-#*", "see INC-1234", False),
        ("*INC-#*", "see INC-1234", True),
        ("INC-#", "INC-1234 disk full", False),
        ("INC-#", "INC-1234", True),
        ("INC-#", "INC-\N{ARABIC-INDIC DIGIT FOUR}", False),
        ("#", "12", True),
        ("#", "", False),
        ("#2", "12", False),
        ("*", "", True),
        ("*", "two\nlines", True),
        ("why?", "why?", True),
        ("why?", "wh", False),
        ("[a-z]+(x|y)", "[a-z]+(x|y)", True),
        ("[a-z]+(x|y)", "abcx", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        (".", "x", False),
    ],
)
def test_a_pattern_fits_the_whole_reason(pattern: str, said: str, *, fits: bool) -> None:
    assert matches(pattern, said) is fits


def fits_by_trying(pattern: str, said: str) -> bool:
    """The same by the definition alone: a star tries every length, digits are taken whole."""
    if not pattern:
        return not said
    if pattern[0] == "*":
        return any(fits_by_trying(pattern[1:], said[taken:]) for taken in range(len(said) + 1))
    if pattern[0] == "#":
        left = said.lstrip("0123456789")
        return left != said and fits_by_trying(pattern[1:], left)
    return said[:1].lower() == pattern[0].lower() and fits_by_trying(pattern[1:], said[1:])


@given(st.text("a1*#", max_size=8).filter(lambda text: text.count("*") <= 3), st.text("aA12", max_size=12))
def test_a_pattern_fits_exactly_what_trying_everything_finds(pattern: str, said: str) -> None:
    assert matches(pattern, said) == fits_by_trying(pattern, said)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("*a*" + "a" * 196 + "b", "a"),
        ("*#*#", "1x"),
        ("*" + "#a" * 99 + "*", "1a"),
        ("*#*b", "1"),
        ("*##*", "12"),
        ("*" + "#" * 198 + "*", "1"),
    ],
)
def test_no_pattern_makes_a_long_reason_slow(pattern: str, said: str) -> None:
    """What backtracks takes minutes here: the time would grow with the square of the length, or worse."""
    guardrail.check(make_guardrail(reason_pattern=pattern))
    begun = time.process_time()
    matches(pattern, said * (20_000 // len(said)) + "!")
    assert time.process_time() - begun < 5
