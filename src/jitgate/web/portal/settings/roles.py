"""Who holds which role where: giving one, taking it away; what each role allows; and roles of one's own."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import uuid4

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from jitgate.core.errors import JitgateError
from jitgate.core.resource_id import check_scope
from jitgate.core.roles import ACTIONS, DELETE_ROLE, READ_ASSIGNMENT, WRITE_ASSIGNMENT, WRITE_ROLE, Principal, Role
from jitgate.service import assignments, roles
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal import flash
from jitgate.web.portal.acting import act
from jitgate.web.portal.flash import Flash
from jitgate.web.portal.pages import problems, status_of
from jitgate.web.portal.routing import Route
from jitgate.web.portal.settings import role_form
from jitgate.web.portal.settings.frame import settings_page

_MOST = 100
_HERE = "/settings/roles"


async def show(request: Request) -> Response:
    """The page."""
    service, asker, place = service_of(request), asker_of(request), _place(request)
    principal = asker.principal
    given = await assignments.list_assignments(
        service, asker, place, limit=_MOST, after=request.query_params.get("after")
    )
    known = await roles.list_roles(service, asker, place)
    return await settings_page(
        request,
        "roles.html",
        given=given,
        place=place,
        roles=known,
        may_give=bool(principal.scopes(WRITE_ASSIGNMENT)),
        may_make=bool(principal.scopes(WRITE_ROLE)),
        changeable={role.id for role in known if _may(principal, WRITE_ROLE, role)},
        removable={role.id for role in known if _may(principal, DELETE_ROLE, role)},
    )


async def give(request: Request) -> Response:
    """Give a role."""
    form = await read_form(request)
    role, holder, scope = (form.get(name, "").strip() for name in ("role", "holder", "scope"))
    work = assignments.assign_role(
        service_of(request), asker_of(request), str(uuid4()), role=role, holder=holder, scope=scope or "/"
    )
    return await act(request, work, at="give", then=_HERE, said=f"{holder[:100]} holds {role[:100]}.")


async def take(request: Request) -> Response:
    """Take a role away."""
    uid = request.path_params["assignment"]
    work = assignments.unassign_role(service_of(request), asker_of(request), uid)
    said = "Taken away. What it allowed is being shut."
    return await act(request, work, at=f"take-{uid}", then=_HERE, said=said)


async def edit(request: Request) -> Response:
    """The form: of a custom role, of a new one, or of a new one that begins as a copy."""
    service, asker, place = service_of(request), asker_of(request), _place(request)
    name, model = (request.query_params.get(each, "") for each in ("role", "copy"))
    if name:
        return await _form(request, role_form.typed_of(await roles.get_role(service, asker, name, place)))
    if model:
        copied = await roles.get_role(service, asker, model, place)
        return await _form(request, role_form.typed_of(replace(copied, name="", id="", scopes=(place,))))
    return await _form(request, role_form.typed_of(Role("", (), scopes=(place,))))


async def put(request: Request) -> Response:
    """Make a role, or change one. What is wrong is shown with what was typed."""
    typed = await read_form(request, role_form.MOST_FIELDS)
    wanted = role_form.read(typed)
    try:
        # Without an id of its own a new one would change the role that has its name.
        kept = await roles.put_role(
            service_of(request), asker_of(request), replace(wanted, id=wanted.id or str(uuid4()))
        )
    except JitgateError as error:
        return await _form(request, typed, status_of(error), problems=problems(error))
    answer = RedirectResponse(_HERE, 303)
    done = (
        "is changed. What it does not allow any more is being shut." if wanted.id else "is made: give it to somebody."
    )
    flash.say(answer, Flash(f"Role {kept.name[:100]} {done}"))
    return answer


async def remove(request: Request) -> Response:
    """Remove a custom role that nobody holds."""
    name = request.path_params["role"]
    work = roles.delete_role(service_of(request), asker_of(request), name)
    return await act(request, work, at=f"remove-{name}", then=_HERE, said="The role is gone.")


async def _form(request: Request, typed: Mapping[str, str], status: int = 200, **more: object) -> Response:
    shown = {**dict.fromkeys(role_form.TEXTS, ""), **typed}
    ticked = {name: any(role_form.may(each) in typed for each in some) for name, some in role_form.GROUPS.items()}
    about = {"groups": role_form.GROUPS, "open": ticked, "words": ACTIONS, "may": role_form.may}
    place = {"path": _HERE, "here": f"{_HERE}/edit"}
    return await settings_page(request, "role.html", status, typed=shown, **about, **place, **more)


def _place(request: Request) -> str:
    """The scope path that is looked at: as named, else the widest at which the asker may. Raises Invalid."""
    named = request.query_params.get("scope")
    if named:
        return check_scope(named, "scope")
    return min(asker_of(request).principal.scopes(READ_ASSIGNMENT), key=len, default="/")


def _may(principal: Principal, right: str, role: Role) -> bool:
    return role.is_custom and all(principal.may(right, scope) for scope in role.scopes)


ROUTES = (
    Route("GET", _HERE, show),
    Route("GET", f"{_HERE}/edit", edit),
    Route("POST", _HERE, put),
    Route("POST", f"{_HERE}/give", give),
    Route("POST", f"{_HERE}/{{assignment}}/take", take),
    Route("POST", f"{_HERE}/{{role}}/remove", remove),
)
