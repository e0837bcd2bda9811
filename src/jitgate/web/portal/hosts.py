"""Hosts elsewhere: the command by which one joins, those that wait, what changed, who is silent, and letting go."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from starlette.responses import Response

from jitgate.core import duration
from jitgate.core.errors import Invalid
from jitgate.core.roles import JOIN_HOST
from jitgate.service import hosts
from jitgate.service.base import Asker, Service
from jitgate.trust import pins
from jitgate.web.agents import link_of
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal.acting import act
from jitgate.web.portal.pages import page, problems, status_of
from jitgate.web.portal.routing import Route
from jitgate.web.sites import host_of

UseCase = Callable[[Service, Asker, str], Awaitable[object]]
LIVES = {"PT1H": "1 hour", "PT8H": "8 hours", "P1D": "1 day", "P7D": "7 days"}


async def show(request: Request) -> Response:
    """The page."""
    return await _show(request)


async def invite(request: Request) -> Response:
    """Make a join token, and show the command that uses it, this once."""
    form = await read_form(request)
    try:
        life = duration.parse(form.get("life", "PT1H"), "life").length
        made = await hosts.make_join_token(
            service_of(request), asker_of(request), lifetime=life, uses=_uses(form.get("uses", "1"))
        )
    except Invalid as error:
        return await _show(request, status_of(error), problems=problems(error))
    pin = pins.fingerprint(link_of(request).authority())
    line = f"jitgate-agent join {_address(request)} --token {made.token.text} --ca-pin {pin}"
    return await _show(request, made=made, line=line)


async def approve(request: Request) -> Response:
    """Let a waiting host in."""
    return await _act(request, hosts.approve_host, "approve", "is let in")


async def confirm(request: Request) -> Response:
    """Believe the addresses that a host has reported."""
    return await _act(request, hosts.confirm_addresses, "confirm", "is where it says")


async def remove(request: Request) -> Response:
    """Let a host go."""
    return await _act(request, lambda service, asker, name: _remove(request, service, asker, name), "remove", "is gone")


async def _remove(request: Request, service: Service, asker: Asker, name: str) -> None:
    view = await hosts.remove_host(service, asker, name)
    link_of(request).fleet.forget(view.host.scope, view.host.uuid)


async def _act(request: Request, use_case: UseCase, verb: str, said: str) -> Response:
    name = request.path_params["host"]
    work = use_case(service_of(request), asker_of(request), name)
    return await act(request, work, at=f"{verb}-{name}", then="/hosts", said=f"The host {said}.")


async def _show(request: Request, status: int = 200, **more: Any) -> Response:
    service, asker = service_of(request), asker_of(request)
    found = await hosts.list_hosts(service, asker)
    usual: dict[str, Any] = {"made": None, "line": "", "problems": ()}
    return page(
        request,
        "hosts.html",
        status,
        waiting=[view for view in found if view.host.state == "waiting"],
        members=[view for view in found if view.host.state == "joined"],
        may_invite=bool(asker.principal.scopes(JOIN_HOST)),
        lives=LIVES,
        here="/hosts",
        **{**usual, **more},
    )


def _address(request: Request) -> str:
    return service_of(request).settings.public_url or f"https://{host_of(request.scope)}"


def _uses(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5:
        raise Invalid("uses", f"{text!r:.20} is not a number", allowed=f"1 to {hosts.MOST_USES}")
    return int(text)


ROUTES = (
    Route("GET", "/hosts", show),
    Route("POST", "/hosts/invite", invite),
    Route("POST", "/hosts/{host}/approve", approve),
    Route("POST", "/hosts/{host}/confirm", confirm),
    Route("POST", "/hosts/{host}/remove", remove),
)
