"""Freezes: shutting everything for somebody or somewhere, and thawing it again."""

import re

from fastapi import Request
from starlette.responses import Response

from jitgate.core.errors import Invalid
from jitgate.core.roles import FREEZE, THAW
from jitgate.service import freezes
from jitgate.service.base import Asker, Service
from jitgate.service.freezes import Target
from jitgate.store.freezes import Kept
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal.acting import act
from jitgate.web.portal.routing import Route
from jitgate.web.portal.settings.frame import settings_page

_HERE = "/settings/freezes"
_FORMS = re.compile(r"freeze-[\w-]{1,64}", re.ASCII)
"""The forms on other pages: a refusal is said in the one that was sent."""
_KINDS = {
    "person": "A person",
    "machine": "A machine",
    "scope": "Everything at or below an id",
    "everything": "Everything",
}


async def show(request: Request) -> Response:
    """The page."""
    principal = asker_of(request).principal
    return await settings_page(
        request,
        "freezes.html",
        kinds=_KINDS,
        may_freeze=bool(principal.scopes(FREEZE)),
        may_thaw=bool(principal.scopes(THAW)),
    )


async def freeze(request: Request) -> Response:
    """Shut what is open, and refuse what is asked."""
    form = await read_form(request)
    kind, name, why = (form.get(field, "").strip() for field in ("kind", "name", "why"))
    work = _freeze(service_of(request), asker_of(request), kind, name, why)
    at = form.get("at", "freeze")
    return await act(request, work, at=at if _FORMS.fullmatch(at) else "freeze", then=_HERE, said="Frozen.")


async def thaw(request: Request) -> Response:
    """End a freeze."""
    form, uid = await read_form(request), request.path_params["freeze"]
    work = freezes.thaw(service_of(request), asker_of(request), uid, form.get("why", ""))
    return await act(request, work, at=f"thaw-{uid}", then=_HERE, said="Thawed.")


async def _freeze(service: Service, asker: Asker, kind: str, name: str, why: str) -> Kept:
    targets = {
        "person": Target(person=name),
        "machine": Target(machine=name),
        "scope": Target(scope=name),
        "everything": Target(scope="/"),
    }
    if kind not in targets:
        raise Invalid("kind", "say what to freeze", allowed=", ".join(_KINDS.values()))
    return await freezes.freeze(service, asker, targets[kind], why)


ROUTES = (
    Route("GET", _HERE, show),
    Route("POST", _HERE, freeze),
    Route("POST", "/settings/freezes/{freeze}/thaw", thaw),
)
