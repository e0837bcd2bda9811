"""Approval: who counts, for which step, and when changing the steps loosens them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.core.examples import DAY, GROUP, HOUR, NOW, make_machine

from jitgate.core import roles
from jitgate.core.approval import (
    Approval,
    Approver,
    Need,
    Step,
    check_steps,
    is_looser,
    missing,
    owns,
    parse_approver,
    unanswerable,
)
from jitgate.core.errors import Invalid
from jitgate.core.roles import Assignment, Principal
from jitgate.core.windows import parse as window

WEB = make_machine()
OPS = parse_approver("group:Ops", "a")
CAROL = parse_approver("user:carol", "a")


def person(name: str, *groups: str, scope: str = "/", role: roles.Role = roles.JIT_APPROVER) -> Principal:
    return Principal(f"uid-{name}", name, (Assignment(role, scope),), groups=frozenset(groups))


def by(*people: Principal) -> list[Approval]:
    return [Approval(one, NOW + number * timedelta(minutes=1)) for number, one in enumerate(people)]


def lacks(steps: tuple[Step, ...], given: list[Approval]) -> list[tuple[int, int]]:
    return [(one.number, one.approvals) for one in missing([Need("rail", WEB, steps)], given, NOW)]


def test_so_many_of_those_named_have_to_agree() -> None:
    """Case AP18: N of M."""
    steps = (Step(2, (OPS, CAROL)),)
    anna, bert, carol, dave = person("anna", "ops"), person("bert", "ops"), person("Carol"), person("dave")
    assert lacks(steps, []) == [(1, 2)]
    assert lacks(steps, by(dave)) == [(1, 2)]
    assert lacks(steps, by(anna, dave)) == [(1, 1)]
    assert lacks(steps, by(anna, carol)) == []
    assert lacks(steps, by(anna, bert)) == []


def test_being_named_without_the_right_is_not_enough() -> None:
    assert lacks((Step(1, (CAROL,)),), by(person("carol", role=roles.READER))) == [(1, 1)]


def test_approvers_above_and_at_the_machine_both_count() -> None:
    """Case AP17."""
    assert lacks((Step(2),), by(person("above", scope=GROUP), person("here", scope=WEB.id))) == []
    assert lacks((Step(1),), by(person("beside", scope=GROUP + "0"))) == [(1, 1)]


def test_steps_follow_on_each_other_and_one_person_counts_for_one_of_them() -> None:
    steps = (Step(1, (OPS,)), Step(1))
    anna = person("anna", "ops")
    assert lacks(steps, by(anna)) == [(2, 1)]
    assert lacks(steps, by(person("dave"))) == [(1, 1)]
    assert lacks(steps, by(anna, person("dave"))) == []


def test_one_approval_counts_for_each_guardrail() -> None:
    needs = [Need("a", WEB, (Step(1),)), Need("b", WEB, (Step(1, (OPS,)),))]
    assert missing(needs, by(person("anna", "ops")), NOW) == []
    assert [one.need.guardrail for one in missing(needs, by(person("dave")), NOW)] == ["b"]


def test_after_a_time_others_may_decide_and_what_they_said_before_does_not_count() -> None:
    step = Step(1, (CAROL,), escalate_after=HOUR, escalate_to=(OPS,))
    anna = person("anna", "ops")
    assert lacks((step,), [Approval(anna, NOW + HOUR - timedelta(seconds=1))]) == [(1, 1)]
    assert lacks((step,), [Approval(anna, NOW + HOUR)]) == []
    assert lacks((step,), [Approval(person("dave"), NOW + HOUR)]) == [(1, 1)]
    assert lacks((replace(step, escalate_to=()),), [Approval(person("dave"), NOW + HOUR)]) == []


def test_approvers_decide_in_their_windows_only() -> None:
    step = Step(1, windows=(window("Tue 09:00-12:30", "w"),))
    assert lacks((step,), [Approval(person("dave"), NOW)]) == []
    assert lacks((step,), [Approval(person("dave"), NOW + HOUR)]) == [(1, 1)]


@pytest.mark.parametrize(
    ("tag", "is_owner"),
    [("dave", True), ("anna, Dave", True), ("group:web", True), ("daves", False), ("web", False), ("", False)],
)
def test_the_owner_of_a_machine_is_told_by_its_tag(tag: str, is_owner: bool) -> None:
    assert owns(person("dave", "web"), make_machine(tags={"Owner": tag})) is is_owner


def test_a_name_that_looks_like_a_group_owns_nothing_of_the_groups() -> None:
    """Names of people come from identity providers: somebody may call themselves anything there."""
    assert not owns(person("group:web"), make_machine(tags={"Owner": "group:web"}))


def test_the_owner_of_a_machine_is_told_by_an_assignment_at_it_and_not_above() -> None:
    assert owns(person("dave", scope=WEB.id.upper(), role=roles.OWNER), WEB)
    assert not owns(person("dave", scope=GROUP, role=roles.OWNER), WEB)
    assert not owns(person("dave", scope=WEB.id), WEB)


def test_a_step_that_nobody_could_answer_is_told() -> None:
    """Case AP14."""
    need = Need("rail", WEB, (Step(1), Step(2, (OPS,), escalate_after=DAY, escalate_to=(CAROL,))))
    others = [person("anna", "ops"), person("dave")]
    lacking = unanswerable([need], others)
    assert lacking is not None
    assert (lacking.number, lacking.approvals) == (2, 1)
    assert unanswerable([need], [*others, person("carol")]) is None


OLD = Step(2, (OPS, CAROL), DAY, (CAROL,), (window("Mon 09:00-10:00", "w"),))


@pytest.mark.parametrize(
    "change",
    [
        {"approvals": 1},
        {"approvers": ()},
        {"approvers": (OPS, parse_approver("user:mallory", "a"))},
        {"escalate_to": ()},
        {"escalate_to": (OPS,)},
        {"escalate_after": HOUR, "escalate_to": (parse_approver("user:mallory", "a"),)},
        {"windows": ()},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_change_by_which_others_could_agree_loosens(change: dict[str, object]) -> None:
    assert is_looser((replace(OLD, **change),), (OLD,))  # type: ignore[arg-type]


def test_a_change_by_which_fewer_could_agree_does_not_loosen() -> None:
    assert not is_looser((OLD,), (OLD,))
    assert not is_looser((replace(OLD, approvals=3), Step(1)), (OLD,))
    assert not is_looser((replace(OLD, approvers=(OPS,)),), (OLD,))
    assert not is_looser((replace(OLD, escalate_after=None, escalate_to=()),), (OLD,))
    assert is_looser((), (OLD,))
    assert is_looser((Step(1), OLD), (OLD, Step(1)))


@pytest.mark.parametrize("text", ["", "carol", "user:", "team:ops", "group: ", "owner:x", "user:" + "x" * 300])
def test_who_cannot_be_named_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_approver(text, "a")


@pytest.mark.parametrize(
    "steps",
    [
        (Step(0),),
        (Step(11),),
        (Step(1),) * 6,
        (Step(2, (CAROL,)),),
        (Step(1, escalate_after=timedelta(0)),),
        (Step(1, escalate_to=(CAROL,)),),
        (Step(1, (Approver(CAROL.kind, "x"),) * 51),),
    ],
)
def test_steps_that_could_never_be_done_are_refused(steps: tuple[Step, ...]) -> None:
    with pytest.raises(Invalid):
        check_steps(steps, "steps")
