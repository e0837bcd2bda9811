"""Connectors: the cloud accounts, how each fares, adding, testing and removing them; and where access is off."""

import tomllib
from typing import Any

from fastapi import Request
from starlette.responses import Response

from jitgate.core.errors import Invalid, JitgateError
from jitgate.core.resource_id import subscription_scope
from jitgate.core.roles import READ_SECURITY_POLICY, WRITE_CONNECTOR
from jitgate.service import connectors, plans
from jitgate.service.base import Asker
from jitgate.service.connectors import ConnectorView, Draft
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal.acting import act
from jitgate.web.portal.pages import problems, status_of
from jitgate.web.portal.routing import Route
from jitgate.web.portal.settings.frame import settings_page

_FIELDS = ("name", "kind", "subscription", "resource_group", "settings")


async def show(request: Request) -> Response:
    """The page."""
    return await _show(request)


async def add(request: Request) -> Response:
    """Add a connector, or give one other settings. What is wrong is shown with what was typed."""
    form, service = await read_form(request), service_of(request)
    typed = {name: form.get(name, "").strip() for name in _FIELDS}
    own = service.settings
    try:
        draft = Draft(
            typed["name"],
            typed["kind"],
            typed["subscription"] or own.subscription,
            typed["resource_group"] or own.resource_group,
            _settings(typed["settings"]),
        )
        await connectors.put_connector(service, asker_of(request), draft)
    except JitgateError as error:
        return await _show(request, status_of(error), problems=problems(error), typed=typed)
    return await _show(request, added=typed["name"])


async def test(request: Request) -> Response:
    """Have a connector's permissions tested."""
    name = request.path_params["connector"]
    work = connectors.ask_for_test(service_of(request), asker_of(request), name)
    return await act(request, work, at=f"test-{name}", then="/settings/connectors", said=f"{name} is being tested.")


async def remove(request: Request) -> Response:
    """Remove a connector; its firewalls are let go of first."""
    name = request.path_params["connector"]
    work = connectors.remove_connector(service_of(request), asker_of(request), name)
    return await act(request, work, at=f"remove-{name}", then="/settings/connectors", said=f"{name} is being removed.")


async def _show(request: Request, status: int = 200, **more: object) -> Response:
    service, asker = service_of(request), asker_of(request)
    sees_off = bool(asker.principal.scopes(READ_SECURITY_POLICY))
    found = await connectors.list_connectors(service, asker)
    values: dict[str, object] = {
        "connectors": found,
        "may_act_on": {one.connector.name for one in found if _may_act_on(asker, one)},
        "kinds": sorted(service.connector_kinds),
        "may_add": asker.principal.may(WRITE_CONNECTOR, "/"),
        "disabled": await plans.list_disabled(service, asker) if sees_off else (),
        "typed": dict.fromkeys(_FIELDS, ""),
        "added": "",
        **more,
    }
    return await settings_page(request, "connectors.html", status, **values)


def _settings(text: str) -> dict[str, Any]:
    """Lines ``name = value`` as TOML has them."""
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise Invalid("settings", str(error), allowed='lines such as tenant = "GUID"') from None


ROUTES = (
    Route("GET", "/settings/connectors", show),
    Route("POST", "/settings/connectors", add),
    Route("POST", "/settings/connectors/{connector}/test", test),
    Route("POST", "/settings/connectors/{connector}/remove", remove),
)


def _may_act_on(asker: Asker, one: ConnectorView) -> bool:
    return asker.principal.may(WRITE_CONNECTOR, subscription_scope(one.connector.subscription))
