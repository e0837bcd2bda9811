"""A guardrail as a form has it: every field a text, lists separated by commas or one on a line, and back."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

from jitgate.core import duration, guardrail, policy, prefixes, resource_id, windows
from jitgate.core.approval import Step, parse_approver
from jitgate.core.desired import SessionEnd
from jitgate.core.errors import Invalid
from jitgate.core.guardrail import Enforcement, Guardrail, Limits
from jitgate.core.prefixes import Prefix
from jitgate.core.selector import Selector

Word = TypeVar("Word", SessionEnd, Enforcement)
FIELDS = (
    "name",
    "scope",
    "tags",
    "ports",
    "approvals",
    "steps",
    "approval_wait",
    "reason_required",
    "reason_pattern",
    "max_duration",
    "session",
    "sources",
    "caller_only",
    "windows",
    "enforcement",
)


def typed_of(held: Guardrail) -> dict[str, str]:
    """What somebody would have typed."""
    selector, limits = held.selector, held.limits
    return {
        "name": held.name,
        "scope": selector.scope,
        "tags": ", ".join(f"{name}={value}" for name, value in selector.tags.items()),
        "ports": ", ".join(map(str, sorted(selector.ports))),
        "approvals": str(limits.approvals or ""),
        "steps": _shown_steps(limits.steps),
        "approval_wait": _shown_length(limits.approval_wait),
        "reason_required": "on" if limits.reason_required else "",
        "reason_pattern": limits.reason_pattern or "",
        "max_duration": _shown_length(limits.max_duration),
        "session": str(limits.session or ""),
        "sources": ", ".join(map(prefixes.text, limits.sources or ())),
        "caller_only": "on" if limits.caller_only else "",
        "windows": "\n".join(map(str, limits.windows)),
        "enforcement": str(limits.enforcement or ""),
    }


def read(typed: Mapping[str, str], old: Guardrail | None) -> Guardrail:
    """The guardrail that is meant. `old`: the one in force, whose steps stay as they are if they are not touched.

    Raises Invalid.
    """
    resource_id.check_name(typed["name"], "name")
    return guardrail.check(Guardrail(typed["name"], _selector(typed), _limits(typed, old)))


def _selector(typed: Mapping[str, str]) -> Selector:
    tags: dict[str, str] = {}
    for text in _parts(typed["tags"]):
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise Invalid("tags", f"{text!r:.60} is no tag with its value", allowed="name=value, separated by commas")
        tags[name.strip()] = value.strip()
    ports = frozenset(policy.check_number(_number(text, "ports"), "ports") for text in _parts(typed["ports"]))
    return Selector(typed["scope"] or "/", tags, ports)


def _limits(typed: Mapping[str, str], old: Guardrail | None) -> Limits:
    return Limits(
        approvals=_number(typed["approvals"] or "0", "approvals"),
        steps=_steps(typed["steps"], old.limits.steps if old else ()),
        reason_required=typed["reason_required"] == "on",
        reason_pattern=typed["reason_pattern"] or None,
        session=_one_of(SessionEnd, typed["session"], "session"),
        sources=_sources(typed["sources"]),
        caller_only=typed["caller_only"] == "on",
        max_duration=_length(typed["max_duration"], "longest time"),
        approval_wait=_length(typed["approval_wait"], "wait"),
        windows=tuple(windows.parse(line, "windows") for line in _lines(typed["windows"])),
        enforcement=_one_of(Enforcement, typed["enforcement"], "enforcement"),
    )


def _steps(text: str, old: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps of the form ``N`` or ``N:APPROVER,…``. Those that are left as they were keep what no form says of them."""
    return old if _lines(text) == _lines(_shown_steps(old)) else tuple(map(_step, _lines(text)))


def _step(line: str) -> Step:
    count, _, approvers = line.partition(":")
    return Step(_number(count.strip(), "steps"), tuple(parse_approver(each, "steps") for each in _parts(approvers)))


def _shown_steps(steps: tuple[Step, ...]) -> str:
    return "\n".join(f"{step.approvals}:{','.join(map(str, step.approvers))}".rstrip(":") for step in steps)


def _sources(text: str) -> tuple[Prefix, ...] | None:
    typed = text.replace(",", " ").split()
    return prefixes.parse_all(typed, "sources") if typed else None


def _length(text: str, field: str) -> timedelta | None:
    return duration.parse_short(text, field).length if text else None


def _shown_length(length: timedelta | None) -> str:
    return "" if length is None else duration.iso(length)


def _one_of(kind: type[Word], text: str, field: str) -> Word | None:
    if text and text not in list(kind):
        raise Invalid(field, f"{text!r:.30} is none of these", allowed=", ".join(kind))
    return kind(text) if text else None


def _number(text: str, field: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise Invalid(field, f"{text!r:.30} is not a number", allowed="a whole number")
    return int(text)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
