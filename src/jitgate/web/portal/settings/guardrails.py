"""Guardrails: what holds, and changes that loosen one and wait for a second administrator."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from jitgate.core import duration, prefixes
from jitgate.core.approval import Step
from jitgate.core.errors import JitgateError
from jitgate.core.guardrail import Limits
from jitgate.core.resource_id import key
from jitgate.core.roles import READ_GUARDRAIL, WRITE_GUARDRAIL
from jitgate.core.selector import Selector
from jitgate.service import guardrails
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal import flash
from jitgate.web.portal.acting import act
from jitgate.web.portal.flash import Flash
from jitgate.web.portal.pages import problems, status_of
from jitgate.web.portal.routing import Route
from jitgate.web.portal.settings import guardrail_form
from jitgate.web.portal.settings.frame import settings_page

_HERE = "/settings/guardrails"
_NAMES = {
    "approvals": "approvals",
    "steps": "steps",
    "reason_required": "a reason is needed",
    "reason_pattern": "reason of the form",
    "session": "sessions",
    "sources": "sources within",
    "caller_only": "the caller's own address only",
    "max_duration": "at most",
    "approval_wait": "waits for approval",
    "windows": "only in",
    "enforcement": "enforcement",
}


async def show(request: Request) -> Response:
    """The page. Who may write guardrails somewhere and read none makes new ones here."""
    service, asker = service_of(request), asker_of(request)
    principal = asker.principal
    writes_only = principal.scopes(WRITE_GUARDRAIL) and not principal.scopes(READ_GUARDRAIL)
    held = () if writes_only else await guardrails.list_guardrails(service, asker)
    return await settings_page(
        request,
        "guardrails.html",
        held=held,
        now_held={guardrail.name.casefold(): guardrail for guardrail in held},
        proposals=() if writes_only else await guardrails.list_proposals(service, asker),
        may_write=bool(principal.scopes(WRITE_GUARDRAIL)),
        writable={one.name for one in held if principal.may(WRITE_GUARDRAIL, one.selector.scope)},
        demands=demands,
        covers=covers,
    )


async def edit(request: Request) -> Response:
    """The form: of a guardrail that is named, or of a new one, for as much as one may write."""
    name = request.query_params.get("name", "")
    if not name:
        place = min(asker_of(request).principal.scopes(WRITE_GUARDRAIL), key=len, default="/")
        return await _form(request, {**dict.fromkeys(guardrail_form.FIELDS, ""), "scope": place}, is_new=True)
    held = await guardrails.get_guardrail(service_of(request), asker_of(request), name)
    return await _form(request, guardrail_form.typed_of(held), is_new=False)


async def put(request: Request) -> Response:
    """Set one. What is wrong is shown with what was typed; what loosens waits, and the page says so."""
    form, service, asker = await read_form(request), service_of(request), asker_of(request)
    typed = {name: form.get(name, "").strip() for name in guardrail_form.FIELDS}
    is_new = form.get("new") == "on"
    try:
        old = None if is_new else await guardrails.get_guardrail(service, asker, typed["name"])
        wanted = guardrail_form.read(typed, old)
        in_force = await guardrails.put_guardrail(service, asker, wanted, is_new=is_new)
    except JitgateError as error:
        return await _form(request, typed, status_of(error), is_new=is_new, problems=problems(error))
    answer = RedirectResponse(_HERE, 303)
    flash.say(answer, Flash(_became(typed["name"], in_force=in_force)))
    return answer


async def remove(request: Request) -> Response:
    """Remove one, which waits for a second administrator."""
    name = request.path_params["guardrail"]
    work = guardrails.delete_guardrail(service_of(request), asker_of(request), name)
    return await act(request, work, at=f"remove-{key(name)}", then=_HERE, said=_became(name, in_force=False))


async def confirm(request: Request) -> Response:
    """Agree to exactly the change that was read."""
    form, name = await read_form(request), request.path_params["guardrail"]
    work = guardrails.confirm_guardrail(service_of(request), asker_of(request), name, form.get("proposal", ""))
    return await act(request, work, at=f"confirm-{form.get('proposal', '')[:32]}", then=_HERE, said="Confirmed.")


async def _form(
    request: Request, typed: Mapping[str, str], status: int = 200, *, is_new: bool, **more: object
) -> Response:
    return await settings_page(
        request, "guardrail.html", status, typed=typed, is_new=is_new, path=_HERE, here=f"{_HERE}/edit", **more
    )


def _became(name: str, *, in_force: bool) -> str:
    """What became of a change."""
    if in_force:
        return f"Guardrail {name[:100]} is in force."
    return f"The change of guardrail {name[:100]} loosens it: it waits for a second administrator."


def demands(limits: Limits) -> list[str]:
    """What limits demand, in words."""
    said = ((_NAMES.get(each.name, each.name), getattr(limits, each.name)) for each in fields(limits))
    return [_said(name, value) for name, value in said if value not in (None, False, 0, ())]


def covers(selector: Selector) -> str:
    """What a selector covers, in words."""
    where = "everything" if selector.scope == "/" else selector.scope
    tags = [f"{name}={value}" for name, value in selector.tags.items()]
    return ", ".join([where, *tags, *(f"port {port}" for port in sorted(selector.ports))])


def _said(name: str, value: object) -> str:
    if value is True:
        return name
    if isinstance(value, timedelta):
        return f"{name} {duration.describe(value)}"
    if isinstance(value, tuple):
        return f"{name}: " + ", ".join(map(_part, value))
    if isinstance(value, int):
        return f"{value} {name.removesuffix('s') if value == 1 else name}"
    return f"{name} {value}"


def _part(value: object) -> str:
    if isinstance(value, Step):
        return f"{value.approvals} by " + (" or ".join(map(str, value.approvers)) or "anybody with the right")
    return prefixes.text(prefixes.Prefix(value)) if isinstance(value, str) else str(value)


ROUTES = (
    Route("GET", _HERE, show),
    Route("GET", f"{_HERE}/edit", edit),
    Route("POST", _HERE, put),
    Route("POST", f"{_HERE}/{{guardrail}}/remove", remove),
    Route("POST", f"{_HERE}/{{guardrail}}/confirm", confirm),
)
