"""People, programs and groups: adding, disabling, and who is in which group."""

from datetime import timedelta

from fastapi import Request
from starlette.responses import Response

from jitgate.core.errors import Invalid, JitgateError
from jitgate.core.roles import (
    FREEZE,
    READ_FREEZE,
    READ_GROUP,
    READ_PRINCIPAL,
    THAW,
    WRITE_CREDENTIAL,
    WRITE_GROUP,
    WRITE_PRINCIPAL,
    Kind,
)
from jitgate.service import freezes, groups, links, principals
from jitgate.service.base import Asker, Service
from jitgate.service.views import Page
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal.acting import act
from jitgate.web.portal.pages import problems, status_of
from jitgate.web.portal.routing import Route
from jitgate.web.portal.settings.frame import settings_page
from jitgate.web.sites import host_of

_MOST, _MOST_GROUPS = 100, 50
_LINK_LIFE = timedelta(hours=24)
_HERE = "/settings/people"
_PLACE = {"here": _HERE, "path": _HERE}
"""The page is answered to a form as well: its parts are asked for at its own place."""
_KINDS = {"user": Kind.USER, "service": Kind.SERVICE}


async def show(request: Request) -> Response:
    """The page."""
    return await _show(request)


async def make_link(request: Request) -> Response:
    """A link that signs somebody in, shown this once."""
    uid = request.path_params["principal"]
    try:
        made = await links.make_link_for(service_of(request), asker_of(request), uid, _LINK_LIFE)
    except JitgateError as error:
        return await _show(request, status_of(error), problems=problems(error))
    return await _show(request, made=made, link=f"https://{host_of(request.scope)}/sign-in#{made.secret}")


async def add(request: Request) -> Response:
    """Add a person or a program, without any right yet."""
    form = await read_form(request)
    name, kind = form.get("name", "").strip(), _KINDS.get(form.get("kind", "user"))
    if kind is None:
        raise Invalid("kind", "there is no such kind", allowed=", ".join(_KINDS))
    work = principals.add_principal(service_of(request), asker_of(request), name, kind)
    return await act(
        request, work, at="add", then=_HERE, said=f"{name[:100]} is added, and may do nothing yet: give a role."
    )


async def disable(request: Request) -> Response:
    """Let somebody in no more."""
    uid = request.path_params["principal"]
    work = principals.disable_principal(service_of(request), asker_of(request), uid)
    return await act(
        request, work, at=f"disable-{uid}", then=_HERE, said="Disabled. What they have open is being shut."
    )


async def enable(request: Request) -> Response:
    """Let somebody in again."""
    uid = request.path_params["principal"]
    work = principals.enable_principal(service_of(request), asker_of(request), uid)
    return await act(request, work, at=f"enable-{uid}", then=_HERE, said="Enabled again.")


async def add_group(request: Request) -> Response:
    """Make a group."""
    form = await read_form(request)
    name = form.get("name", "").strip()
    issuer = form.get("issuer", "")
    work = groups.add_group(service_of(request), asker_of(request), name, claimed=issuer != "", issuer=issuer)
    return await act(request, work, at="add-group", then=_HERE, said=f"Group {name[:100]} is made.")


async def remove_group(request: Request) -> Response:
    """Remove a group."""
    uid = request.path_params["group"]
    work = groups.remove_group(service_of(request), asker_of(request), uid)
    return await act(
        request, work, at=f"remove-group-{uid}", then=_HERE, said="The group is gone, with what it allowed."
    )


async def join(request: Request) -> Response:
    """Put somebody into a group."""
    form, uid = await read_form(request), request.path_params["group"]
    who = form.get("who", "").strip()
    work = groups.join_group(service_of(request), asker_of(request), uid, who)
    return await act(request, work, at=f"join-{uid}", then=_HERE, said=f"{who[:100]} is in it.")


async def leave(request: Request) -> Response:
    """Take somebody out of a group."""
    group, who = request.path_params["group"], request.path_params["principal"]
    work = groups.leave_group(service_of(request), asker_of(request), group, who)
    return await act(request, work, at=f"leave-{group}-{who}", then=_HERE, said="Not in it any more.")


async def _show(request: Request, status: int = 200, **more: object) -> Response:
    service, asker = service_of(request), asker_of(request)
    may = asker.principal.may
    people = (
        await principals.list_principals(service, asker, limit=_MOST, after=request.query_params.get("after"))
        if may(READ_PRINCIPAL, "/")
        else Page(())
    )
    return await settings_page(
        request,
        "people.html",
        status,
        people=people,
        groups=await _groups(service, asker) if may(READ_GROUP, "/") else (),
        frozen_people=await _frozen(service, asker) if may(READ_FREEZE, "/") else {},
        may_freeze=may(FREEZE, "/"),
        may_thaw=may(THAW, "/"),
        may_add=may(WRITE_PRINCIPAL, "/"),
        may_group=may(WRITE_GROUP, "/"),
        issuers=[each.issuer for each in service.bearers.issuers.providers],
        may_link=may(WRITE_PRINCIPAL, "/") and may(WRITE_CREDENTIAL, "/"),
        **{"made": None, **_PLACE, **more},
    )


async def _frozen(service: Service, asker: Asker) -> dict[str, str]:
    """By person the freeze that holds them."""
    held = [kept.freeze for kept in await freezes.list_freezes(service, asker)]
    return {one.person: one.uid for one in held if one.person is not None}


async def _groups(service: Service, asker: Asker) -> list[groups.GroupView]:
    listed = await groups.list_groups(service, asker, limit=_MOST_GROUPS)
    return [await groups.get_group(service, asker, group.uid, limit=_MOST) for group in listed.items]


ROUTES = (
    Route("GET", _HERE, show),
    Route("POST", _HERE, add),
    Route("POST", "/settings/people/{principal}/disable", disable),
    Route("POST", "/settings/people/{principal}/enable", enable),
    Route("POST", "/settings/people/{principal}/link", make_link),
    Route("POST", "/settings/groups", add_group),
    Route("POST", "/settings/groups/{group}/remove", remove_group),
    Route("POST", "/settings/groups/{group}/join", join),
    Route("POST", "/settings/groups/{group}/leave/{principal}", leave),
)
