"""The decision: all or nothing, the same for the same input, and never more than policy and guardrails allow."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

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

from jitgate.core import prefixes, roles
from jitgate.core.access import Ask, MachineAsk, Span
from jitgate.core.checks import Question, reasons_against
from jitgate.core.decide import Allowed, Decision, Denied, NeedsApproval, decide
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.duration import Duration, iso
from jitgate.core.errors import Reason
from jitgate.core.guardrail import Guardrail, Limits, strictest
from jitgate.core.machine import Machine
from jitgate.core.policy import Policy, PortRule
from jitgate.core.prefixes import Prefix
from jitgate.core.roles import Assignment, Principal
from jitgate.core.selector import Selector

WEB, DB = make_machine("web-1"), make_machine("db-1")
OUTSIDE = Prefix("198.51.100.1/32")


def ask_for(
    ask: Ask,
    *policies: Policy,
    machines: Iterable[Machine] = (WEB, DB),
    rails: Sequence[Guardrail] = (),
    principal: Principal | None = None,
) -> Decision:
    known = {machine.key: machine for machine in machines}
    return decide(ask, policies or [make_policy()], known, rails, principal or make_principal(), NOW)


def terms_of(decision: Decision) -> list[tuple[str, int, Protocol]]:
    assert isinstance(decision, Allowed), decision
    return [(term.machine, term.port, term.protocol) for term in decision.terms]


def reasons_of(decision: Decision) -> tuple[Reason, ...]:
    assert isinstance(decision, Denied), decision
    return decision.reasons


def both(one: Ask, other: Ask) -> Ask:
    return Ask((*one.machines, *(replace(m, field="virtualMachines[1]") for m in other.machines)))


# --- one port ----------------------------------------------------------------------------------------


def test_what_is_within_policy_and_rights_is_allowed_at_once() -> None:
    decision = ask_for(make_ask(make_port(span=Span(end=NOW + HOUR))))
    assert isinstance(decision, Allowed)
    [term] = decision.terms
    assert (term.machine, term.scope, term.port, term.protocol) == ("uuid-web-1", "host/web-1", 22, Protocol.ANY)
    assert (term.sources, term.span, term.session) == ((ALICE,), Span(end=NOW + HOUR), SessionEnd.KEEP)
    assert term.policy == make_policy().id.key
    assert term.ask.number == 22


def test_an_address_inside_an_allowed_range_is_allowed() -> None:
    """Case PV1."""
    rule = make_rule(sources=(Prefix("10.21.254.0/24"), OFFICE))
    ask = make_ask(make_port(sources=(Prefix("10.21.254.85/32"), ALICE)))
    assert isinstance(ask_for(ask, make_policy(rule)), Allowed)


def test_a_source_across_two_allowed_ranges_that_touch_is_allowed() -> None:
    rule = make_rule(sources=(Prefix("203.0.113.0/25"), Prefix("203.0.113.128/25")))
    assert isinstance(ask_for(make_ask(make_port(sources=(OFFICE,))), make_policy(rule)), Allowed)


def test_an_id_in_another_case_is_the_same_machine() -> None:
    """Case UI9."""
    assert terms_of(ask_for(make_ask(machine="WEB-1"), make_policy(machine="Web-1"))) == [
        ("uuid-web-1", 22, Protocol.ANY)
    ]


def test_sources_are_granted_in_their_canonical_form() -> None:
    decision = ask_for(make_ask(make_port(sources=(BOB, OFFICE, ALICE))))
    assert isinstance(decision, Allowed)
    assert decision.terms[0].sources == (OFFICE,)


def test_an_unknown_machine_is_named() -> None:
    [reason] = reasons_of(ask_for(make_ask(machine="nobody")))
    assert (reason.code, reason.field) == ("VirtualMachineNotFound", "virtualMachines[0].id")
    assert "nobody" in reason.message


def test_a_machine_that_is_in_no_policy_is_named() -> None:
    [reason] = reasons_of(ask_for(make_ask(machine="db-1")))
    assert (reason.code, reason.field) == ("MachineNotInPolicy", "virtualMachines[0].id")


def test_a_port_that_is_not_in_the_policy_is_told_with_those_that_are() -> None:
    rules = make_rule(3389), make_rule(22, Protocol.TCP)
    [reason] = reasons_of(ask_for(make_ask(make_port(23)), make_policy(*rules)))
    assert (reason.code, reason.field) == ("PortNotInPolicy", "ports[0].number")
    assert "port 23 of web-1" in reason.message
    assert reason.allowed == "22 (TCP), 3389 (*)"


def test_a_protocol_that_is_not_in_the_policy_is_named() -> None:
    [reason] = reasons_of(ask_for(make_ask(make_port(protocol=Protocol.UDP)), make_policy(make_rule(22, Protocol.TCP))))
    assert reason.code == "PortNotInPolicy"
    assert "port 22 UDP" in reason.message


def test_the_ports_of_a_policy_are_not_told_to_who_may_not_ask_under_it() -> None:
    """Whether a port is in the policy or not, a stranger reads the same."""
    policy, stranger = make_policy(make_rule(8022)), Principal("mallory", "Mallory")
    told = {reasons_of(ask_for(make_ask(make_port(n)), policy, principal=stranger)) for n in (22, 8022)}
    assert len(told) == 1
    assert "8022" not in str(told)


# --- protocols ---------------------------------------------------------------------------------------


def test_without_a_protocol_whatever_the_policy_has_for_the_number_is_granted() -> None:
    assert terms_of(ask_for(make_ask(), make_policy(make_rule(22, Protocol.TCP)))) == [("uuid-web-1", 22, Protocol.TCP)]
    split = make_policy(make_rule(22, Protocol.TCP), make_rule(22, Protocol.UDP))
    assert terms_of(ask_for(make_ask(), split)) == [("uuid-web-1", 22, Protocol.TCP), ("uuid-web-1", 22, Protocol.UDP)]


def test_with_a_protocol_no_more_than_that_is_granted() -> None:
    ask = make_ask(make_port(protocol=Protocol.TCP))
    assert terms_of(ask_for(ask, make_policy(make_rule(22, Protocol.ANY)))) == [("uuid-web-1", 22, Protocol.TCP)]


def test_of_a_policy_with_a_rule_for_each_protocol_both_must_allow() -> None:
    rules = make_rule(22, Protocol.TCP), make_rule(22, Protocol.UDP, longest="PT30M")
    [reason] = reasons_of(ask_for(make_ask(), make_policy(*rules)))
    assert reason.code == "TooLong"


# --- several policies --------------------------------------------------------------------------------

NARROW, WIDE = make_policy(make_rule(sources=(BOB,)), name="narrow"), make_policy(name="wide")


def test_of_two_policies_either_grants() -> None:
    """Case RA18."""
    for order in ([NARROW, WIDE], [WIDE, NARROW]):
        decision = ask_for(make_ask(), *order)
        assert isinstance(decision, Allowed)
        assert decision.terms[0].policy == WIDE.id.key


def test_a_policy_that_refuses_does_not_spoil_one_that_grants_another_protocol() -> None:
    tcp = make_policy(make_rule(22, Protocol.TCP), name="tcp")
    both_but_bob = make_policy(make_rule(22, Protocol.ANY, sources=(BOB,)), name="both")
    for order in ([tcp, both_but_bob], [both_but_bob, tcp]):
        assert terms_of(ask_for(make_ask(), *order)) == [("uuid-web-1", 22, Protocol.TCP)]


def test_one_ask_for_a_port_opens_it_once_however_many_policies_would() -> None:
    assert len(terms_of(ask_for(make_ask(), WIDE, make_policy(name="third")))) == 1


def test_where_none_grants_the_reasons_are_those_of_the_nearest() -> None:
    farther = make_policy(make_rule(sources=(BOB,), longest="PT5M"), name="farther")
    for order in ([NARROW, farther], [farther, NARROW]):
        [reason] = reasons_of(ask_for(make_ask(), *order))
        assert reason.code == "SourceNotAllowed"


def test_where_none_grants_one_reads_of_a_policy_that_one_may_ask_under() -> None:
    forbidden = make_policy(name="forbidden")
    narrow = make_policy(make_rule(sources=(BOB,), longest="PT5M"), name="mine")
    principal = make_principal(roles.JIT_REQUESTER, narrow.id.text)
    for order in ([forbidden, narrow], [narrow, forbidden]):
        told = [reason.code for reason in reasons_of(ask_for(make_ask(), *order, principal=principal))]
        assert told == ["SourceNotAllowed", "TooLong"]


def test_a_policy_that_one_may_not_ask_under_grants_nothing() -> None:
    principal = make_principal(roles.JIT_REQUESTER, NARROW.id.text)
    assert reasons_of(ask_for(make_ask(), NARROW, WIDE, principal=principal))


def test_a_guardrail_holds_whichever_policy_grants() -> None:
    for order in ([NARROW, WIDE], [WIDE, NARROW]):
        assert reasons_of(ask_for(make_ask(), *order, rails=[make_guardrail(max_duration=MINUTE)]))


# --- all or nothing ----------------------------------------------------------------------------------


def test_one_port_that_is_refused_refuses_all_and_every_reason_is_listed() -> None:
    ports = (
        make_port(22, field="ports[0]"),
        make_port(3389, field="ports[1]", sources=(OUTSIDE,)),
        make_port(23, field="ports[2]"),
    )
    policy = make_policy(make_rule(22), make_rule(3389, sources=(OFFICE,)))
    ask = both(make_ask(*ports), make_ask(machine="nobody"))
    told = [(reason.code, reason.field) for reason in reasons_of(ask_for(ask, policy))]
    assert told == [
        ("SourceNotAllowed", "ports[1].allowedSourceAddressPrefix"),
        ("PortNotInPolicy", "ports[2].number"),
        ("VirtualMachineNotFound", "virtualMachines[1].id"),
    ]


def test_what_is_wrong_with_the_whole_request_is_told_once() -> None:
    policy, rails = make_policy(make_rule(22), make_rule(3389)), [make_guardrail(reason_required=True)]
    [reason] = reasons_of(ask_for(make_ask(make_port(22), make_port(3389)), policy, rails=rails))
    assert reason.field == "justification"


def test_several_machines_are_granted_in_the_order_of_the_ask() -> None:
    ask = both(make_ask(make_port(3389), make_port(22)), make_ask(machine="db-1"))
    policies = make_policy(make_rule(22), make_rule(3389)), make_policy(machine="db-1")
    granted = [(machine, port) for machine, port, _ in terms_of(ask_for(ask, *policies))]
    assert granted == [("uuid-web-1", 3389), ("uuid-web-1", 22), ("uuid-db-1", 22)]


def test_asking_for_nothing_is_denied_and_not_granted_empty() -> None:
    for ask in (Ask(()), Ask((MachineAsk(make_ask().machines[0].id, ()),))):
        assert reasons_of(ask_for(ask))


def test_where_there_is_no_policy_nothing_is_granted() -> None:
    assert reasons_of(decide(make_ask(), [], {WEB.key: WEB}, [], make_principal(roles.OWNER, "/"), NOW))


# --- approvals ---------------------------------------------------------------------------------------


def test_where_a_guardrail_asks_for_approvals_so_many_must_agree() -> None:
    rails = [make_guardrail("two", approvals=2), make_guardrail("one", approvals=1), make_guardrail("none")]
    decision = ask_for(make_ask(), rails=rails)
    assert isinstance(decision, NeedsApproval)
    assert (decision.approvals, decision.wait, decision.guardrails) == (2, DAY, ("one", "two"))
    assert len(decision.terms) == 1


def test_a_request_waits_no_longer_than_the_strictest_guardrail_lets_it() -> None:
    rails = [make_guardrail("a", approvals=1, approval_wait=2 * DAY), make_guardrail("b", approval_wait=HOUR)]
    decision = ask_for(make_ask(), rails=rails)
    assert isinstance(decision, NeedsApproval)
    assert decision.wait == HOUR


def test_the_port_that_needs_most_approvals_speaks_for_the_whole_request() -> None:
    rails = [make_guardrail("rdp", Selector(ports=frozenset({3389})), approvals=3)]
    ask = make_ask(make_port(22), make_port(3389, field="ports[1]"))
    decision = ask_for(ask, make_policy(make_rule(22), make_rule(3389)), rails=rails)
    assert isinstance(decision, NeedsApproval)
    assert (decision.approvals, decision.guardrails) == (3, ("rdp",))
    assert len(decision.terms) == 2


def test_the_port_that_waits_shortest_speaks_for_the_whole_request() -> None:
    rails = [
        make_guardrail("ssh", Selector(ports=frozenset({22})), approvals=1, approval_wait=HOUR),
        make_guardrail("rdp", Selector(ports=frozenset({3389})), approvals=1, approval_wait=2 * HOUR),
    ]
    ask = make_ask(make_port(22), make_port(3389, field="ports[1]"))
    decision = ask_for(ask, make_policy(make_rule(22), make_rule(3389)), rails=rails)
    assert isinstance(decision, NeedsApproval)
    assert decision.wait == HOUR


def test_approval_is_no_way_round_a_refusal() -> None:
    assert reasons_of(ask_for(make_ask(make_port(sources=(OUTSIDE,))), NARROW, rails=[make_guardrail(approvals=1)]))


def test_how_sessions_end_is_the_guardrails_word() -> None:
    decision = ask_for(make_ask(), rails=[make_guardrail(session=SessionEnd.END)])
    assert isinstance(decision, Allowed)
    assert decision.terms[0].session is SessionEnd.END


def test_without_an_end_the_whole_of_the_policys_time_is_granted_and_counted_from_opening() -> None:
    """Case AP12."""
    decision = ask_for(make_ask(make_port(span=None)), rails=[make_guardrail(max_duration=90 * MINUTE)])
    assert isinstance(decision, Allowed)
    assert decision.terms[0].span == Span(duration=length("PT1H30M"))


# --- whatever is asked -------------------------------------------------------------------------------

rules = st.builds(
    lambda number, protocol, sources, longest: PortRule(number, protocol, sources, tuple(sources), longest),
    st.sampled_from([22, 3389]),
    st.sampled_from([Protocol.ANY, *Protocol]),
    strategies.wide_lists,
    strategies.lengths(30).map(lambda longest: Duration(iso(longest), longest)),
)
rule_lists = st.lists(rules, min_size=1, max_size=3, unique_by=lambda rule: rule.number)
policies = st.builds(lambda found, name: make_policy(*found, name=name), rule_lists, st.sampled_from(["a", "b"]))
spans = st.one_of(
    st.none(),
    strategies.durations.map(lambda lasts: Span(duration=lasts)),
    strategies.lengths(longest=60).map(lambda lasts: Span(end=NOW + lasts)),
    strategies.minutes.map(lambda end: Span(end=end)),
)
ports = st.builds(
    lambda number, **other: make_port(number, **other),
    strategies.seldom(st.sampled_from([3389, 5985]), 22),
    sources=strategies.narrow_lists,
    span=spans,
    protocol=strategies.seldom(st.sampled_from(Protocol), None),
)
asks = st.builds(
    lambda found, **other: make_ask(*found, **other),
    st.lists(ports, min_size=1, max_size=2, unique_by=lambda port: port.number),
    justification=st.sampled_from(["INC-7", "", "because"]),
    caller=st.none() | st.sampled_from(strategies.ADDRESSES),
    start=strategies.seldom(strategies.minutes, None),
)
few_rails = st.lists(strategies.limits, max_size=2).map(
    lambda found: [Guardrail(f"rail-{at}", Selector(), limits) for at, limits in enumerate(found)]
)
principals = strategies.seldom(
    st.sampled_from([make_principal(roles.READER), make_principal(roles.OWNER, "/")]), make_principal()
)
worlds = st.fixed_dictionaries(
    {
        "policies": st.lists(policies, min_size=1, max_size=2, unique_by=lambda policy: policy.id.name),
        "rails": few_rails,
        "principal": principals,
    }
)


def decide_in(world: dict[str, Any], ask: Ask) -> Decision:
    return ask_for(ask, *world["policies"], rails=world["rails"], principal=world["principal"])


@given(worlds, asks)
def test_the_same_question_has_the_same_answer_and_leaves_no_trace(world: dict[str, Any], ask: Ask) -> None:
    before = copy.deepcopy((world, ask))
    assert decide_in(world, ask) == decide_in(copy.deepcopy(world), copy.deepcopy(ask))
    assert (world, ask) == before


@given(worlds, asks)
def test_what_is_granted_has_no_reason_against_it_and_what_is_denied_has_one(world: dict[str, Any], ask: Ask) -> None:
    decision = decide_in(world, ask)
    if isinstance(decision, Denied):
        assert decision.reasons
        assert len(set(decision.reasons)) == len(decision.reasons)
        return
    for term in decision.terms:
        [policy] = [policy for policy in world["policies"] if policy.id.key == term.policy]
        [rule] = policy.machines[0].rules(term.port, term.protocol)
        limits = strictest(world["rails"], WEB, term.port)
        assert not reasons_against(Question(ask, term.ask, WEB, policy, rule, limits, world["principal"], NOW))


@given(worlds, asks)
def test_what_is_granted_lies_inside_what_was_asked_and_what_is_allowed(world: dict[str, Any], ask: Ask) -> None:
    decision = decide_in(world, ask)
    if isinstance(decision, Denied):
        return
    begins = ask.start or NOW
    for term in decision.terms:
        assert prefixes.all_covered(term.sources, term.ask.sources)
        assert prefixes.all_covered(term.ask.sources, term.sources)
        assert begins < term.span.end_from(begins) <= begins + DAY
        assert term.ask.protocol in (None, term.protocol)
        assert term.port == term.ask.number
    assert {id(term.ask) for term in decision.terms} == {id(port) for _, port in ask.ports()}


@given(policies, st.data())
def test_a_request_inside_its_policy_is_always_allowed(policy: Policy, data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from(policy.machines[0].ports))
    lasts = data.draw(strategies.lengths(1, int(rule.max_duration.length / MINUTE)))
    port = make_port(
        rule.number,
        sources=(data.draw(st.sampled_from(rule.sources)),),
        span=data.draw(st.sampled_from([None, Span(end=NOW + lasts), Span(duration=Duration(iso(lasts), lasts))])),
        protocol=data.draw(st.sampled_from([None, rule.protocol, *rule.protocol.each])),
    )
    assert isinstance(ask_for(make_ask(port), policy), Allowed)


def narrower(source: Prefix) -> st.SearchStrategy[tuple[Prefix, ...]]:
    inside = [other for other in strategies.SUBNETS if prefixes.covers(source, other)] or [source]
    return st.lists(st.sampled_from(inside), min_size=1, max_size=3).map(prefixes.collapse)


@given(worlds, asks, st.data())
def test_whoever_may_have_much_may_have_less(world: dict[str, Any], ask: Ask, data: st.DataObject) -> None:
    """Narrower sources, a shorter time, fewer ports: what is granted stays granted, with no more agreement."""
    granted = decide_in({**world, "rails": [without_caller(rail) for rail in world["rails"]]}, ask)
    if isinstance(granted, Denied):
        return
    begins, port = ask.start or NOW, data.draw(st.sampled_from([port for _, port in ask.ports()]))
    longest = min(term.span.end_from(begins) for term in granted.terms if term.ask is port) - begins
    shorter = data.draw(st.timedeltas(timedelta(seconds=1), longest))
    less = replace(port, sources=data.draw(narrower(port.sources[0])), span=Span(end=begins + shorter))
    again = decide_in(
        {**world, "rails": [without_caller(rail) for rail in world["rails"]]},
        replace(ask, machines=(replace(ask.machines[0], ports=(less,)),)),
    )
    assert isinstance(again, Allowed | NeedsApproval)
    assert approvals(again) <= approvals(granted)


def without_caller(rail: Guardrail) -> Guardrail:
    """A guardrail that holds everybody to one address lets nobody have less than that."""
    return replace(rail, limits=replace(rail.limits, caller_only=False))


def approvals(decision: Allowed | NeedsApproval) -> int:
    return decision.approvals if isinstance(decision, NeedsApproval) else 0


@given(worlds, asks, strategies.limits)
def test_one_more_guardrail_never_allows_more(world: dict[str, Any], ask: Ask, more: Limits) -> None:
    before = decide_in(world, ask)
    after = decide_in({**world, "rails": [*world["rails"], Guardrail("more", Selector(), more)]}, ask)
    if isinstance(before, Denied):
        assert isinstance(after, Denied)
    elif not isinstance(after, Denied):
        assert approvals(after) >= approvals(before)


@given(worlds, asks)
def test_without_a_role_nothing_is_granted(world: dict[str, Any], ask: Ask) -> None:
    assert isinstance(decide_in({**world, "principal": Principal("nobody", "Nobody")}, ask), Denied)
    neighbour = Principal("alice", "Alice", (Assignment(roles.OWNER, GROUP + "0"),))
    assert isinstance(decide_in({**world, "principal": neighbour}, ask), Denied)


def test_behind_a_gateway_what_asks_for_both_protocols_gets_tcp_and_is_told_so() -> None:
    machine = make_machine(provider="gateway")
    for rules in [(make_rule(),), (make_rule(protocol=Protocol.TCP), make_rule(protocol=Protocol.UDP))]:
        decision = decide(make_ask(), [make_policy(*rules)], {machine.key: machine}, [], make_principal(), NOW)
        assert isinstance(decision, Allowed)
        [terms] = decision.terms
        assert terms.protocol is Protocol.TCP
        assert ("TCP only" in terms.remark) == (len(rules) == 1)


def test_behind_a_gateway_udp_alone_is_denied_with_the_reason() -> None:
    machine = make_machine(provider="gateway")
    udp = make_policy(make_rule(protocol=Protocol.UDP))
    decision = decide(make_ask(), [udp], {machine.key: machine}, [], make_principal(), NOW)
    assert isinstance(decision, Denied)
    assert [reason.code for reason in decision.reasons] == ["ProtocolNotSupported"]
