"""A guardrail that is opened in its form and saved untouched is the same guardrail."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jitgate.core import windows
from jitgate.core.approval import Approver, Kind, Step
from jitgate.core.desired import SessionEnd
from jitgate.core.errors import Invalid
from jitgate.core.guardrail import Enforcement, Guardrail, Limits
from jitgate.core.prefixes import parse_all
from jitgate.core.selector import Selector
from jitgate.web.portal.settings import guardrail_form

STEPS = (Step(2, (Approver(Kind.GROUP, "ops"), Approver(Kind.OWNER)), timedelta(hours=1)), Step())
FULL = Guardrail(
    "prod",
    Selector("/subscriptions/1", {"env": "prod", "team": "db"}, frozenset({22, 3389})),
    Limits(
        steps=STEPS,
        reason_required=True,
        reason_pattern="INC-#*",
        session=SessionEnd.END,
        sources=parse_all(["203.0.113.0/24", "2001:db8::/48"], "sources"),
        caller_only=True,
        max_duration=timedelta(minutes=90),
        approval_wait=timedelta(hours=4),
        windows=(windows.parse("Mon-Fri 09:00-17:00 Europe/Berlin", "windows"),),
        enforcement=Enforcement.OBSERVE,
    ),
)


@pytest.mark.parametrize(
    "held", [FULL, Guardrail("few", Selector(), Limits(approvals=3)), Guardrail("none", Selector(), Limits())]
)
def test_what_is_saved_untouched_stays_as_it_was(held: Guardrail) -> None:
    assert guardrail_form.read(guardrail_form.typed_of(held), held) == held


def test_steps_that_are_typed_anew_are_what_was_typed() -> None:
    typed = {**guardrail_form.typed_of(FULL), "steps": "1:user:alice"}
    read = guardrail_form.read(typed, FULL)
    assert read.limits == replace(FULL.limits, steps=(Step(1, (Approver(Kind.USER, "alice"),)),))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("ports", "ssh"),
        ("ports", "0"),
        ("approvals", "-1"),
        ("session", "maybe"),
        ("steps", "2:bob"),
        ("scope", "prod"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_field(field: str, text: str) -> None:
    with pytest.raises(Invalid):
        guardrail_form.read({**guardrail_form.typed_of(FULL), field: text}, None)
