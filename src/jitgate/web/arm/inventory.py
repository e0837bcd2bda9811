"""What Azure's clients read before and around the contract: tenants, subscriptions, groups, locations, machines."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response

from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.resource_id import check_name, check_resource_group, check_subscription, machine_id
from jitgate.service import inventory
from jitgate.service.inventory import Group
from jitgate.service.lending import tenant
from jitgate.web.arm import around_schemas, description
from jitgate.web.arm.paging import next_link, skip_token
from jitgate.web.arm.routing import add, query
from jitgate.web.arm.schemas import Schema
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.errors import json_response

Json = Mapping[str, Any]

SUBSCRIPTION = "/subscriptions/{subscriptionId}"
GROUP = SUBSCRIPTION + "/resourceGroups/{resourceGroupName}"
MACHINES = "/providers/Microsoft.Compute/virtualMachines"
ROUTES: Mapping[str, Callable[[Request], Awaitable[Response]]]

_OS = {OperatingSystem.WINDOWS: "Windows", OperatingSystem.LINUX: "Linux"}
_LOCATION_TYPE = "Region"


def add_routes(app: FastAPI) -> None:
    """Add what is read around the contract to an application."""
    for path, endpoint in ROUTES.items():
        query = {"$expand": _EXPAND} if endpoint is get_machine else {}
        described = description.around(path, {200: _ANSWERS[endpoint]}, query=query)
        add(app, "GET", path, endpoint, f"{endpoint.__name__}_{len(path)}", described)


async def list_tenants(request: Request) -> Response:
    """The one tenant of this installation."""
    own = tenant(service_of(request))
    shown = {"id": f"/tenants/{own}", "tenantId": own, "displayName": "jitgate", "tenantCategory": "Home"}
    return json_response({"value": [shown]})


async def list_subscriptions(request: Request) -> Response:
    """The subscriptions in which the asker holds any role."""
    own = tenant(service_of(request))
    found = await inventory.list_subscriptions(service_of(request), asker_of(request))
    return json_response({"value": [_subscription(each, own) for each in found]})


async def get_subscription(request: Request) -> Response:
    """One subscription."""
    found = await inventory.get_subscription(service_of(request), asker_of(request), _subscription_of(request))
    return json_response(_subscription(found, tenant(service_of(request))))


async def list_locations(request: Request) -> Response:
    """Where there are machines."""
    at = _subscription_of(request)
    found = await inventory.list_locations(service_of(request), asker_of(request), at)
    return json_response({"value": [_location(f"/subscriptions/{at}/locations", each) for each in found]})


async def list_security_locations(request: Request) -> Response:
    """The same, as Microsoft.Security tells them: `ascLocation` is one of these."""
    at = _subscription_of(request)
    found = await inventory.list_locations(service_of(request), asker_of(request), at)
    below = f"/subscriptions/{at}/providers/Microsoft.Security/locations"
    shown = [{"id": f"{below}/{each}", "name": each, "type": "Microsoft.Security/locations"} for each in found]
    return json_response({"value": [{**each, "properties": {"homeRegionName": each["name"]}} for each in shown]})


async def list_groups(request: Request) -> Response:
    """The resource groups of a subscription."""
    found = await inventory.list_groups(service_of(request), asker_of(request), _subscription_of(request))
    return json_response({"value": [_group(each) for each in found]})


async def get_group(request: Request) -> Response:
    """One resource group."""
    name = check_resource_group(request.path_params["resourceGroupName"])
    at = _subscription_of(request)
    return json_response(_group(await inventory.get_group(service_of(request), asker_of(request), at, name)))


async def list_machines(request: Request) -> Response:
    """The machines of a subscription or resource group."""
    group = request.path_params.get("resourceGroupName")
    scope = f"/subscriptions/{_subscription_of(request)}"
    scope += "" if group is None else f"/resourceGroups/{check_resource_group(group)}"
    page = await inventory.list_machines(service_of(request), asker_of(request), scope, after=skip_token(request))
    listed: Json = {"value": [_machine(each) for each in page.items]}
    return json_response(listed if page.after is None else {**listed, "nextLink": next_link(request, page.after)})


async def get_machine(request: Request) -> Response:
    """One machine; with `$expand=instanceView` also that it runs, as far as anybody knows."""
    group = check_resource_group(request.path_params["resourceGroupName"])
    name = check_name(request.path_params["vmName"], "vmName")
    wanted = machine_id(_subscription_of(request), group, name)
    shown = _machine(await inventory.get_machine(service_of(request), asker_of(request), wanted))
    if "instanceview" in query(request, "$expand").lower():
        shown["properties"]["instanceView"] = {"statuses": []}
    return json_response(shown)


ROUTES = {
    "/tenants": list_tenants,
    "/subscriptions": list_subscriptions,
    SUBSCRIPTION: get_subscription,
    SUBSCRIPTION + "/locations": list_locations,
    SUBSCRIPTION + "/providers/Microsoft.Security/locations": list_security_locations,
    SUBSCRIPTION + "/resourceGroups": list_groups,
    GROUP: get_group,
    SUBSCRIPTION + MACHINES: list_machines,
    GROUP + MACHINES: list_machines,
    GROUP + MACHINES + "/{vmName}": get_machine,
}
_ANSWERS: Mapping[description.Endpoint, Schema] = {
    list_tenants: around_schemas.TENANTS,
    list_subscriptions: around_schemas.SUBSCRIPTIONS,
    get_subscription: around_schemas.SUBSCRIPTION,
    list_locations: around_schemas.LOCATIONS,
    list_security_locations: around_schemas.SECURITY_LOCATIONS,
    list_groups: around_schemas.GROUPS,
    get_group: around_schemas.GROUP,
    list_machines: around_schemas.MACHINES,
    get_machine: around_schemas.MACHINE,
}
_EXPAND = "`instanceView`: answer that too. Left out: it is left out."


def _subscription_of(request: Request) -> str:
    return check_subscription(request.path_params["subscriptionId"])


def _subscription(guid: str, own_tenant: str) -> Json:
    return {
        "id": f"/subscriptions/{guid}",
        "subscriptionId": guid,
        "tenantId": own_tenant,
        "displayName": "jitgate",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {"locationPlacementId": "", "quotaId": "", "spendingLimit": "Off"},
    }


def _location(below: str, name: str) -> Json:
    metadata = {"regionType": "Physical", "regionCategory": "Other"}
    return {
        "id": f"{below}/{name}",
        "name": name,
        "type": _LOCATION_TYPE,
        "displayName": name,
        "regionalDisplayName": name,
        "metadata": metadata,
    }


def _group(group: Group) -> Json:
    return {
        "id": group.id,
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "properties": {"provisioningState": "Succeeded"},
    }


def _machine(machine: Machine) -> dict[str, Any]:
    disk = {"osType": _OS[machine.os]} if machine.os in _OS else {}
    return {
        "id": machine.id,
        "name": machine.name,
        "type": "Microsoft.Compute/virtualMachines",
        "location": machine.location,
        "tags": dict(machine.tags),
        "properties": {
            "vmId": machine.uuid,
            "provisioningState": "Succeeded",
            "storageProfile": {"osDisk": disk, "dataDisks": []},
            "osProfile": {"computerName": machine.name},
            "networkProfile": {"networkInterfaces": []},
        },
    }
