"""The checks: each lets pass what it should, and says of the rest which field, what was asked, and what would do."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tests.unit.core.examples import (
    ALICE,
    BOB,
    DAY,
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

from jitgate.core import checks, roles, windows
from jitgate.core.access import Span
from jitgate.core.checks import CHECKS, FARTHEST_START, Check, Question, reasons_against
from jitgate.core.desired import Protocol
from jitgate.core.errors import Reason
from jitgate.core.freeze import Freeze
from jitgate.core.guardrail import strictest
from jitgate.core.machine import Machine
from jitgate.core.policy import PortRule
from jitgate.core.prefixes import ANY_IPV4, ANY_IPV6, ANYWHERE, Prefix
from jitgate.core.roles import Principal, Role

FIELD = "virtualMachines[0].ports[1]"
BEHIND_A_GATEWAY = make_machine(provider="gateway")


def question(
    *,
    port: dict[str, Any] | None = None,
    ask: dict[str, Any] | None = None,
    rule: PortRule | None = None,
    machine: Machine | None = None,
    principal: Principal | None = None,
    now: datetime = NOW,
    freezes: tuple[Freeze, ...] = (),
    **limits: Any,
) -> Question:
    """A question that every check lets pass, but for what is said otherwise."""
    asked = make_port(**({"field": FIELD} | (port or {})))
    held = strictest([make_guardrail(**limits)], make_machine(), 22)
    return Question(
        ask=make_ask(asked, **(ask or {})),
        port=asked,
        machine=machine or make_machine(),
        policy=make_policy(rule or make_rule()),
        rule=rule or make_rule(),
        limits=held,
        principal=principal or make_principal(),
        now=now,
        freezes=freezes,
    )


def until(end: datetime) -> dict[str, Any]:
    return {"span": Span(end=end)}


def lasting(text: str) -> dict[str, Any]:
    return {"span": Span(duration=length(text))}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_lets_pass_what_is_within_everything(check: Check) -> None:
    assert check(question()) is None


PASSED: list[tuple[Check, Question]] = [
    (checks.sources_are_inside_the_policy, question(rule=make_rule(sources=(OFFICE,)))),
    (checks.sources_are_inside_the_policy, question(port={"sources": ANYWHERE})),
    (checks.sources_are_inside_the_guardrails, question(sources=(OFFICE, Prefix("2001:db8::/32")))),
    (checks.source_is_the_caller, question(ask={"caller": ALICE}, caller_only=True)),
    (checks.source_is_the_caller, question(ask={"caller": None})),
    (checks.start_is_near, question(ask={"start": NOW})),
    (checks.start_is_near, question(ask={"start": NOW + FARTHEST_START})),
    (checks.end_is_ahead, question(port=until(NOW + timedelta(microseconds=1)))),
    (checks.end_is_ahead, question(port=lasting("PT1S"))),
    (checks.end_is_ahead, question(port=until(NOW + 2 * HOUR), ask={"start": NOW + HOUR})),
    (checks.access_is_short_enough, question(port=lasting("PT3H"))),
    (checks.access_is_short_enough, question(port=until(NOW + 3 * HOUR))),
    (checks.access_is_short_enough, question(port=until(NOW + DAY + 3 * HOUR), ask={"start": NOW + DAY})),
    (checks.access_is_short_enough, question(port=lasting("PT1H"), max_duration=HOUR)),
    (checks.access_is_short_enough, question(port={"span": None}, max_duration=HOUR)),
    (checks.justification_is_given, question(ask={"justification": "INC-7"}, reason_required=True)),
    (checks.justification_is_given, question(ask={"justification": " INC-7 \n"}, reason_pattern="INC-#")),
]


@pytest.mark.parametrize(("check", "asked"), PASSED)
def test_what_is_just_within_passes(check: Check, asked: Question) -> None:
    assert check(asked) is None


UNSUPPORTED = make_machine(unsupported="there is no firewall in front of it")
OFFICE_ONLY = make_rule(sources=(OFFICE,))
BEHIND = datetime(2030, 1, 1, 13, 0, tzinfo=timezone(2 * HOUR))

# check, question, code, field, what the message names, what is said to be allowed
REFUSED: list[tuple[Check, Question, str, str, list[str], str]] = [
    (
        checks.may_ask,
        question(principal=make_principal(Role("none", ()))),
        "AuthorizationFailed",
        FIELD,
        [roles.INITIATE, "jitNetworkAccessPolicies/default"],
        "a role that holds it",
    ),
    (
        checks.may_ask,
        question(principal=make_principal(Role("asks", (roles.INITIATE,))), machine=make_machine(provider="azure")),
        "AuthorizationFailed",
        FIELD,
        [roles.READ_MACHINE, make_machine().id],
        "a role that holds it",
    ),
    (
        checks.machine_is_supported,
        question(machine=UNSUPPORTED),
        "MachineNotSupported",
        FIELD,
        ["no firewall in front", "web-1"],
        "",
    ),
    (
        checks.plan_has_jit,
        question(machine=replace(make_machine(), uncovered="Free")),
        "PlanRequired",
        FIELD,
        ["'web-1' is not onboarded to Defender For Servers offering"],
        "the plan Standard, P2; it is under Free",
    ),
    (
        checks.protocol_gets_there,
        question(machine=BEHIND_A_GATEWAY, port={"protocol": Protocol.UDP}),
        "ProtocolNotSupported",
        f"{FIELD}.protocol",
        ["a gateway relays TCP only", "web-1"],
        "TCP or *",
    ),
    (
        checks.sources_are_inside_the_policy,
        question(port={"sources": (ALICE, Prefix("198.51.100.1/32"))}, rule=OFFICE_ONLY),
        "SourceNotAllowed",
        f"{FIELD}.allowedSourceAddressPrefix",
        ["198.51.100.1 is outside", "port 22 of web-1"],
        "203.0.113.0/24",
    ),
    (
        checks.sources_are_inside_the_policy,
        question(port={"sources": (ANY_IPV6,)}, rule=make_rule(sources=(ANY_IPV4,))),
        "SourceNotAllowed",
        f"{FIELD}.allowedSourceAddressPrefix",
        ["::/0"],
        "0.0.0.0/0",
    ),
    (
        checks.sources_are_inside_the_policy,
        question(port={"sources": (Prefix("203.0.112.0/23"),)}, rule=OFFICE_ONLY),
        "SourceNotAllowed",
        f"{FIELD}.allowedSourceAddressPrefix",
        ["203.0.112.0/23"],
        "203.0.113.0/24",
    ),
    (
        checks.sources_are_inside_the_guardrails,
        question(sources=(BOB,)),
        "SourceNotAllowed",
        f"{FIELD}.allowedSourceAddressPrefix",
        ["203.0.113.7 is outside a guardrail"],
        "203.0.113.8",
    ),
    (
        checks.source_is_the_caller,
        question(ask={"caller": BOB}, caller_only=True),
        "SourceNotAllowed",
        f"{FIELD}.allowedSourceAddressPrefix",
        ["caller's own address"],
        "203.0.113.8",
    ),
    (
        checks.source_is_the_caller,
        question(ask={"caller": None}, caller_only=True),
        "SourceNotAllowed",
        f"{FIELD}.allowedSourceAddressPrefix",
        ["caller's own address"],
        "your own address, which this call does not show",
    ),
    (
        checks.source_is_the_caller,
        question(ask={"caller": ALICE}, port={"sources": (ALICE, BOB)}, caller_only=True),
        "SourceNotAllowed",
        f"{FIELD}.allowedSourceAddressPrefix",
        ["caller's own address"],
        "203.0.113.7",
    ),
    (
        checks.start_is_near,
        question(ask={"start": NOW - MINUTE}),
        "StartNotAllowed",
        "startTimeUtc",
        ["2030-01-01T11:59:00Z"],
        "2030-01-01T12:00:00Z to 2030-01-31T12:00:00Z",
    ),
    (
        checks.start_is_near,
        question(ask={"start": NOW + FARTHEST_START + MINUTE}),
        "StartNotAllowed",
        "startTimeUtc",
        ["2030-01-31T12:01:00Z"],
        "2030-01-01T12:00:00Z to 2030-01-31T12:00:00Z",
    ),
    (
        checks.is_inside_the_windows,
        question(windows=(windows.parse("Mon 08:00-17:00", "w"), windows.parse("Tue 13:00-17:00", "w"))),
        "OutsideWindow",
        "startTimeUtc",
        ["2030-01-01T12:00:00Z is outside the windows", "port 22 of web-1"],
        "Mon 08:00-17:00; Tue 13:00-17:00",
    ),
    (
        checks.access_is_short_enough,
        question(port=lasting("PT2H"), windows=(windows.parse("Tue 08:00-13:00", "w"),)),
        "TooLong",
        f"{FIELD}.duration",
        ["2 h is longer"],
        "at most 1 h (PT1H), that is until 2030-01-01T13:00:00Z",
    ),
    (
        checks.nothing_is_frozen,
        question(freezes=(Freeze("f1", "an incident", NOW - HOUR, person="alice"),)),
        "Frozen",
        FIELD,
        ["Alice is frozen since 2030-01-01T11:00:00Z: an incident"],
        "once it is thawed",
    ),
    (
        checks.nothing_is_frozen,
        question(freezes=(Freeze("f1", "maintenance", NOW, scope="/"),)),
        "Frozen",
        FIELD,
        ["everything at / is frozen", "maintenance"],
        "once it is thawed",
    ),
    (
        checks.justification_is_given,
        question(ask={"break_glass": True}),
        "JustificationRequired",
        "justification",
        ["breaking the glass needs a reason"],
        "a text that says why",
    ),
    (
        checks.access_is_short_enough,
        question(port=lasting("PT2H"), ask={"break_glass": True}),
        "TooLong",
        f"{FIELD}.duration",
        ["2 h is longer"],
        "at most 1 h (PT1H), that is until 2030-01-01T13:00:00Z",
    ),
    (
        checks.end_is_ahead,
        question(port=until(NOW - HOUR)),
        "EndInThePast",
        f"{FIELD}.endTimeUtc",
        ["2030-01-01T11:00:00Z", "not after 2030-01-01T12:00:00Z", "times are UTC"],
        "later than 2030-01-01T12:00:00Z",
    ),
    (
        # Case CK2: somebody's one o'clock is eleven in UTC, and so it is told.
        checks.end_is_ahead,
        question(port=until(BEHIND)),
        "EndInThePast",
        f"{FIELD}.endTimeUtc",
        ["2030-01-01T11:00:00Z"],
        "later than 2030-01-01T12:00:00Z",
    ),
    (
        checks.end_is_ahead,
        question(port=until(NOW)),
        "EndInThePast",
        f"{FIELD}.endTimeUtc",
        ["2030-01-01T12:00:00Z"],
        "later than 2030-01-01T12:00:00Z",
    ),
    (
        checks.end_is_ahead,
        question(port=until(NOW + HOUR), ask={"start": NOW + 2 * HOUR}),
        "EndInThePast",
        f"{FIELD}.endTimeUtc",
        ["2030-01-01T13:00:00Z", "not after 2030-01-01T14:00:00Z"],
        "later than 2030-01-01T14:00:00Z",
    ),
    (
        checks.end_is_ahead,
        question(port=lasting("PT0S")),
        "EndInThePast",
        f"{FIELD}.duration",
        ["2030-01-01T12:00:00Z"],
        "later than 2030-01-01T12:00:00Z",
    ),
    (
        checks.access_is_short_enough,
        question(port=lasting("PT4H")),
        "TooLong",
        f"{FIELD}.duration",
        ["4 h is longer", "port 22 of web-1"],
        "at most 3 h (PT3H), that is until 2030-01-01T15:00:00Z",
    ),
    (
        checks.access_is_short_enough,
        question(port=until(NOW + 4 * HOUR)),
        "TooLong",
        f"{FIELD}.endTimeUtc",
        ["4 h is longer"],
        "at most 3 h (PT3H), that is until 2030-01-01T15:00:00Z",
    ),
    (
        # What is too long by a moment must not read as "3 h is longer than 3 h".
        checks.access_is_short_enough,
        question(port=until(NOW + 3 * HOUR + timedelta(microseconds=1))),
        "TooLong",
        f"{FIELD}.endTimeUtc",
        ["3 h 1 s is longer"],
        "at most 3 h (PT3H), that is until 2030-01-01T15:00:00Z",
    ),
    (
        # Case AP11: where several limits apply, the lowest, and it is the one that is told.
        checks.access_is_short_enough,
        question(port=lasting("PT2H"), max_duration=HOUR),
        "TooLong",
        f"{FIELD}.duration",
        ["2 h is longer"],
        "at most 1 h (PT1H), that is until 2030-01-01T13:00:00Z",
    ),
    (
        # A scheduled access is measured from its start.
        checks.access_is_short_enough,
        question(port=until(NOW + DAY + 4 * HOUR), ask={"start": NOW + DAY}),
        "TooLong",
        f"{FIELD}.endTimeUtc",
        ["4 h is longer"],
        "at most 3 h (PT3H), that is until 2030-01-02T15:00:00Z",
    ),
    (
        checks.justification_is_given,
        question(reason_required=True),
        "JustificationRequired",
        "justification",
        ["requires a justification"],
        "a text that says why",
    ),
    (
        checks.justification_is_given,
        question(ask={"justification": " \n\t"}, reason_required=True),
        "JustificationRequired",
        "justification",
        ["requires a justification"],
        "a text that says why",
    ),
    (
        checks.justification_is_given,
        question(reason_pattern="*"),
        "JustificationRequired",
        "justification",
        ["requires a justification"],
        "a text of the form '*' (* any text, # digits)",
    ),
    (
        checks.justification_is_given,
        question(ask={"justification": "because"}, reason_pattern="INC-#*"),
        "JustificationRequired",
        "justification",
        ["the required form"],
        "a text of the form 'INC-#*' (* any text, # digits)",
    ),
]


@pytest.mark.parametrize(("check", "asked", "code", "field", "named", "allowed"), REFUSED)
def test_what_is_outside_is_refused_with_its_field_what_was_asked_and_what_would_do(
    check: Check, asked: Question, code: str, field: str, named: list[str], allowed: str
) -> None:
    """Case PV2."""
    reason = check(asked)
    assert reason is not None
    assert (reason.code, reason.field, reason.allowed) == (code, field, allowed)
    assert all(part in reason.message for part in named), reason.message


def test_every_check_has_something_that_it_refuses() -> None:
    assert {check for check, *_ in REFUSED} == set(CHECKS)


def test_all_reasons_are_told_at_once_in_the_order_of_the_checks() -> None:
    asked = question(
        port={"sources": (Prefix("198.51.100.1/32"),), **lasting("PT24H")},
        ask={"caller": ALICE, "start": NOW - MINUTE},
        rule=OFFICE_ONLY,
        machine=UNSUPPORTED,
        sources=(OFFICE,),
        caller_only=True,
        reason_required=True,
    )
    told = [(reason.code, reason.field) for reason in reasons_against(asked)]
    source = f"{FIELD}.allowedSourceAddressPrefix"
    assert told == [
        ("MachineNotSupported", FIELD),
        *[("SourceNotAllowed", source)] * 3,
        ("StartNotAllowed", "startTimeUtc"),
        ("TooLong", f"{FIELD}.duration"),
        ("JustificationRequired", "justification"),
    ]


def test_who_lacks_the_right_is_not_told_what_else_the_limits_are() -> None:
    asked = question(
        principal=Principal("mallory", "Mallory"),
        port={"sources": (Prefix("198.51.100.1/32"),), **lasting("PT24H")},
        rule=OFFICE_ONLY,
        reason_pattern="INC-#",
    )
    [reason] = reasons_against(asked)
    assert reason.code == "AuthorizationFailed"
    assert not any(secret in str(reason) for secret in ("203.0.113", "INC", "3 h"))


@pytest.mark.parametrize("broken", range(len(CHECKS)))
def test_a_check_that_breaks_counts_as_no(monkeypatch: pytest.MonkeyPatch, broken: int) -> None:
    def falls_over(_: Question) -> Reason | None:
        raise ZeroDivisionError("the password is hunter2")

    monkeypatch.setattr(checks, "CHECKS", (*CHECKS[:broken], falls_over, *CHECKS[broken + 1 :]))
    [reason] = reasons_against(question())
    assert reason.code == "CheckFailed"
    assert "falls_over" in reason.message
    assert "hunter2" not in str(reason)


@pytest.mark.parametrize(
    "ask",
    [{"start": datetime.max.replace(tzinfo=NOW.tzinfo)}, {"start": NOW.replace(tzinfo=None)}],
    ids=["the end of time", "a time without a zone"],
)
def test_a_time_that_cannot_be_reckoned_with_is_no(ask: dict[str, Any]) -> None:
    assert reasons_against(question(ask=ask))


def test_without_an_end_access_lasts_as_long_as_policy_and_guardrails_allow() -> None:
    """Case AP12."""
    assert str(question(port={"span": None}).span.duration) == "PT3H"
    assert str(question(port={"span": None}, max_duration=90 * MINUTE).span.duration) == "PT1H30M"
    assert str(question(port={"span": None}, max_duration=DAY).span.duration) == "PT3H"


def test_a_policys_own_text_is_kept_where_a_guardrail_is_as_long() -> None:
    asked = question(rule=make_rule(longest="P1D"), max_duration=DAY)
    assert str(asked.longest) == "P1D"


def test_who_may_ask_without_azure_needs_none_of_its_reads() -> None:
    asks_only = make_principal(Role("asks", (roles.INITIATE,)))
    assert checks.may_ask(question(principal=asks_only)) is None
