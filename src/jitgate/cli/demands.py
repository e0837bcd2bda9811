"""What a guardrail demands, as people say it. The portal says the same (`jitgate.web.portal.settings.guardrails`)."""

from collections.abc import Callable, Mapping
from typing import Any

from jitgate.cli.server import Json
from jitgate.cli.text import plain, span


def demands(limits: Json) -> str:
    """All that is demanded, or `nothing`."""
    said = [_SAID[name](value) for name, value in limits.items() if value not in (None, False, 0, [])]
    return ", ".join(said) or "nothing"


def _counted(approvals: int) -> str:
    return f"{approvals} {'approval' if approvals == 1 else 'approvals'}"


def _steps(steps: list[Json]) -> str:
    return ", then ".join(map(_step, steps))


def _step(step: Json) -> str:
    by = " or ".join(map(plain, step["approvers"])) or "anybody with the right"
    return f"{_counted(step['approvals'])} by {by}"


def _listed(values: list[str]) -> str:
    return " or ".join(map(plain, values))


_SAID: Mapping[str, Callable[[Any], str]] = {
    "approvals": _counted,
    "steps": _steps,
    "windows": lambda windows: f"only in {_listed(windows)}",
    "reasonRequired": lambda _: "a reason",
    "reasonPattern": lambda pattern: f"a reason of the form {plain(pattern)}",
    "session": lambda session: {"end": "sessions end", "keep": "sessions go on"}.get(session, plain(session)),
    "sources": lambda sources: f"a source in {_listed(sources)}",
    "callerOnly": lambda _: "the caller's own address",
    "maxDuration": lambda text: f"at most {span(text)}",
    "approvalWait": lambda text: f"approval within {span(text)}",
    "enforcement": lambda how: {"enforce": "enforced", "observe": "not enforced, only recorded"}.get(how, plain(how)),
}
"""Each limit of the API."""
