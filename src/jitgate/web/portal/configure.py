"""JIT configuration of one or many machines: shown, changed, tried out, and only then saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from jitgate.core import duration, prefixes
from jitgate.core import policy as policies_core
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.duration import Duration
from jitgate.core.errors import Conflict, Invalid, JitgateError
from jitgate.core.guardrail import Limits
from jitgate.core.machine import MANAGEMENT_PORTS
from jitgate.core.policy import PortRule
from jitgate.service import configuration
from jitgate.service.base import Asker, Service
from jitgate.service.configuration import Configuration, Preview
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal import flash
from jitgate.web.portal.flash import Flash
from jitgate.web.portal.pages import page, problems, status_of
from jitgate.web.portal.routing import Route

PATH = "/configure"
MOST_ROWS = 40
_MOST_FIELDS = 5 * MOST_ROWS + 20
_MOST_APPROVALS = 5
_LENGTHS = tuple(timedelta(minutes=minutes) for minutes in (15, 30, 60, 120, 180, 240, 480, 720, 1440))
_ANY = "*"
_LIMITS = ("session", "approvals", "reason")


@dataclass(frozen=True, slots=True)
class Row:
    """A port as the form has it. `sources`: as typed; "": any, named by each request."""

    is_on: bool
    number: str
    protocol: str
    sources: str
    length: str
    is_recommended: bool = False

    @property
    def name(self) -> str:
        """What people know the port by."""
        return MANAGEMENT_PORTS.get(int(self.number), "") if self.number.isascii() and self.number.isdigit() else ""


@dataclass(frozen=True, slots=True)
class Difference:
    """What becomes of one machine's ports, in words: each added, removed or changed."""

    name: str
    changes: tuple[tuple[str, str], ...]


async def show(request: Request) -> Response:
    """The form, as things are now."""
    names = request.query_params.getlist("machine")
    found = await configuration.read(service_of(request), asker_of(request), names)
    return _form(request, found, _rows(found), _limits(found))


async def change(request: Request) -> Response:
    """Another port, a try, or the saving of it."""
    form = await read_form(request, _MOST_FIELDS)
    service, asker = service_of(request), asker_of(request)
    found = await configuration.read(service, asker, form.get("machines", "").split())
    rows, step = _read_rows(form), form.get("step", "")
    if step == "add":
        usual = Row(is_on=True, number="", protocol="TCP", sources="", length="PT3H")
        return _form(request, found, [*rows, usual][:MOST_ROWS], form)
    try:
        ports = tuple(_rule(row, service.settings.longest_access) for row in rows if row.is_on)
        if step == "save":
            return await _save(service, asker, found, ports, form)
        return await _tried(request, found, rows, ports, form)
    except Conflict as error:
        return _form(request, found, _rows(found), _limits(found), error=error)
    except JitgateError as error:
        return _form(request, found, rows, form, error=error)


async def _tried(
    request: Request,
    found: Sequence[Configuration],
    rows: Sequence[Row],
    ports: Sequence[PortRule],
    form: Mapping[str, str],
) -> Response:
    """The difference, and what it would do to live grants, before anything is saved."""
    service, asker = service_of(request), asker_of(request)
    preview = await configuration.preview(service, asker, _names(found), ports, form.get("mark", ""))
    return _form(request, found, rows, form, differences=_differences(found, ports), preview=preview)


async def _save(
    service: Service, asker: Asker, found: Sequence[Configuration], ports: Sequence[PortRule], form: Mapping[str, str]
) -> Response:
    await configuration.configure(service, asker, _names(found), ports, form.get("mark", ""))
    waiting = 0
    if "approvals" in form and configuration.may_guard(asker, found):
        waiting = await configuration.guard(service, asker, found, _wanted(form))
    many = f"{len(found)} machines are" if len(found) > 1 else f"{found[0].machine.name} is"
    more = " What loosens a guardrail waits for a second administrator." if waiting else ""
    answer = RedirectResponse(f"/machines/{found[0].machine.uuid}" if len(found) == 1 else "/machines", 303)
    flash.say(answer, Flash(f"{many} configured.{more}"))
    return answer


def _form(
    request: Request,
    found: Sequence[Configuration],
    rows: Sequence[Row],
    form: Mapping[str, str],
    *,
    error: JitgateError | None = None,
    differences: Sequence[Difference] = (),
    preview: Preview | None = None,
) -> Response:
    mark = configuration.mark_of(found)
    return page(
        request,
        "configure.html",
        status_of(error) if error else 200,
        found=found,
        rows=rows,
        form={name: form.get(name, "") for name in _LIMITS},
        guarded=_guarded(found, form) if preview else (),
        mark=mark if error is None or isinstance(error, Conflict) else form.get("mark", mark),
        lengths=_LENGTHS,
        protocols=tuple(Protocol),
        most_approvals=_MOST_APPROVALS,
        may_guard=configuration.may_guard(asker_of(request), found),
        differences=differences,
        preview=preview,
        problems=problems(error) if error else (),
        differ=len({one.ports for one in found}) > 1,
    )


def _rows(found: Sequence[Configuration]) -> list[Row]:
    """The ports that are configured, and below them the recommended ones that are not."""
    ports = configuration.union(found)
    chosen = [_row(rule, is_on=True) for rule in ports or configuration.recommended(found)]
    there = {row.number for row in chosen}
    more = [configuration.usual_rule(number) for number in MANAGEMENT_PORTS if str(number) not in there]
    return chosen + [_row(rule, is_on=False) for rule in more]


def _row(rule: PortRule, *, is_on: bool) -> Row:
    texts = [rule.source_texts] if isinstance(rule.source_texts, str) else rule.source_texts
    sources = "" if _ANY in texts else ", ".join(texts)
    is_recommended = rule.number in MANAGEMENT_PORTS
    return Row(is_on, str(rule.number), str(rule.protocol), sources, rule.max_duration.text, is_recommended)


def _read_rows(form: Mapping[str, str]) -> list[Row]:
    """The ports as they were typed; what was left empty is left out."""
    typed = [
        Row(
            is_on=form.get(f"on{at}") == "1",
            number=form.get(f"number{at}", "").strip(),
            protocol=form.get(f"protocol{at}", ""),
            sources=form.get(f"sources{at}", "").strip(),
            length=form.get(f"length{at}", ""),
            is_recommended=form.get(f"number{at}", "") in map(str, MANAGEMENT_PORTS),
        )
        for at in range(MOST_ROWS)
    ]
    return [row for row in typed if row.number]


def _rule(row: Row, longest: timedelta) -> PortRule:
    """A port out of what was typed. Raises Invalid."""
    if not (row.number.isascii() and row.number.isdigit()):
        raise Invalid("number", f"{row.number[:20]!r} is not a port", allowed="1 to 65535")
    number = policies_core.check_number(int(row.number[:6]), "number")
    if row.protocol not in list(Protocol):
        raise Invalid("protocol", f"{row.protocol[:20]!r} is no protocol of port {number}", allowed=", ".join(Protocol))
    texts = tuple(row.sources.replace(",", " ").split()) or (_ANY,)
    sources = prefixes.parse_all(texts, f"sources of port {number}")
    length = policies_core.check_max_duration(_length(row.length), f"longest time of port {number}", longest)
    return PortRule(number, Protocol(row.protocol), sources, _ANY if texts == (_ANY,) else texts, length)


def _length(text: str) -> Duration:
    return duration.parse(text, "longest time")


def _limits(found: Sequence[Configuration]) -> Mapping[str, str]:
    """What the guardrails of these machines' own demand, where all demand the same."""
    own = {(one.own.session, one.own.approvals, one.own.reason_required) for one in found}
    session, approvals, reason = own.pop() if len(own) == 1 else (None, 0, False)
    return {"session": session or "", "approvals": str(approvals), "reason": "1" if reason else ""}


def _guarded(found: Sequence[Configuration], form: Mapping[str, str]) -> Sequence[str]:
    """What would be demanded otherwise than now, in words."""
    if "approvals" not in form:
        return ()
    now, wanted = _limits(found), _wanted(form)
    session = {None: "As other guardrails say", SessionEnd.KEEP: "Kept", SessionEnd.END: "Ended at the deadline"}
    told = {
        "session": f"Established sessions: {session[wanted.session]}",
        "approvals": f"Approvals that a request needs: {wanted.approvals or 'none of its own'}",
        "reason": "A reason has to be given" if wanted.reason_required else "No reason has to be given",
    }
    return [told[name] for name in _LIMITS if now[name] != form.get(name, "")]


def _wanted(form: Mapping[str, str]) -> Limits:
    approvals, session = form.get("approvals", ""), form.get("session", "")
    if approvals not in map(str, range(_MOST_APPROVALS + 1)) or session not in ("", *SessionEnd):
        raise Invalid("approvals", "this cannot be demanded", allowed=f"0 to {_MOST_APPROVALS} approvals")
    return Limits(
        approvals=int(approvals),
        session=SessionEnd(session) if session else None,
        reason_required=form.get("reason") == "1",
    )


def _differences(found: Sequence[Configuration], ports: Sequence[PortRule]) -> list[Difference]:
    return [Difference(one.machine.name, tuple(_changes(one.ports, ports))) for one in found]


def _changes(before: Sequence[PortRule], after: Sequence[PortRule]) -> Sequence[tuple[str, str]]:
    """What is added, removed and changed: how, and in words."""
    old = {(rule.number, rule.protocol): rule for rule in before}
    new = {(rule.number, rule.protocol): rule for rule in after}
    added = [("added", _words(new[port])) for port in new if port not in old]
    removed = [("removed", _words(old[port])) for port in old if port not in new]
    changed = [
        ("changed", f"{_words(old[port])} → {_words(new[port])}")
        for port in new
        if port in old and _words(old[port]) != _words(new[port])
    ]
    return [*added, *removed, *changed]


def _words(rule: PortRule) -> str:
    texts = [rule.source_texts] if isinstance(rule.source_texts, str) else rule.source_texts
    protocol = "TCP and UDP" if rule.protocol is Protocol.ANY else str(rule.protocol)
    sources = "any source" if _ANY in texts else ", ".join(texts)
    return f"{rule.number} {protocol}, {sources}, up to {duration.describe(rule.max_duration.length)}"


def _names(found: Sequence[Configuration]) -> list[str]:
    return [one.machine.uuid for one in found]


ROUTES = (Route("GET", PATH, show), Route("POST", PATH, change))
