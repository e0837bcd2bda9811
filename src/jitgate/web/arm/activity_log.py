"""The Activity Log API in Azure's shape: the record of one subscription, as Azure's clients read it.

Refusals are flat here, ``{"code": …, "message": …}``, as they are in Azure.
"""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID, uuid5

from fastapi import FastAPI, Request, Response

from jitgate.audit import Operation, Outcome
from jitgate.core.errors import Forbidden, Invalid, JitgateError
from jitgate.core.resource_id import check_subscription
from jitgate.service import activity, subscriptions
from jitgate.service.lending import tenant
from jitgate.store.activity import Entry
from jitgate.store.schema import EPOCH, MICROSECOND
from jitgate.web.arm import activity_filter, around_schemas, description
from jitgate.web.arm.paging import next_link, skip_token
from jitgate.web.arm.routing import ArmRoute, add, query
from jitgate.web.arm.schemas import ERROR, FLAT_ERROR
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.errors import error_response, flat_error, json_response

Json = dict[str, Any]

PATH = "/subscriptions/{subscriptionId}/providers/Microsoft.Insights/eventtypes/management/values"
PAGE = 200

_SELECT = "$select"
_MOST_SELECTED = 50
_SELECT_SAYS = "Names of fields, joined by commas, 50 at most. Left out: all."
_FILTER_SAYS = (
    "From when, and about what: `eventTimestamp ge '…'`, and further comparisons joined by `and`. "
    "It must not be left out."
)
_EVENTS = UUID("9f6a7d0e-6c1f-4f0a-9d2c-3a51c7e1b8a4")
_TICKS_TO_1970 = 621_355_968_000_000_000
"""Hundreds of nanoseconds from the year 1, which Azure counts from."""

_TITLES: Mapping[str, str] = {
    Operation.REQUEST: "Initiate JIT Network Access Policy",
    Operation.POLICY_WRITE: "Create or Update JIT Network Access Policy",
    Operation.POLICY_DELETE: "Delete JIT Network Access Policy",
}
_CODES: Mapping[str, tuple[str, int]] = {
    Outcome.ACCEPTED: ("Accepted", 202),
    Outcome.SUCCEEDED: ("OK", 200),
    Outcome.FAILED: ("InternalServerError", 500),
    Outcome.REFUSED: ("BadRequest", 400),
}
_METHODS: Mapping[str, str] = {"write": "PUT", "delete": "DELETE", "read": "GET", "action": "POST"}


class ActivityLogRoute(ArmRoute):
    """A route whose refusals are flat."""

    versions: ClassVar[Collection[str]] = ("2015-04-01", "2017-03-01-preview")

    async def _answer(self, request: Request) -> Response:
        try:
            return await super()._answer(request)
        except JitgateError as error:
            return flat_error(error_response(error))


def add_routes(app: FastAPI) -> None:
    """Add it to an application."""
    query = {activity_filter.NAME: _FILTER_SAYS, _SELECT: _SELECT_SAYS, "$skiptoken": description.PAGE_BEGINS}
    described = description.around(
        PATH,
        {200: around_schemas.EVENTS},
        versions=ActivityLogRoute.versions,
        query=query,
        # The gate refuses before the route is known.
        error={"anyOf": [FLAT_ERROR, ERROR]},
    )
    add(app, "GET", PATH, list_events, "ActivityLogs_List", described, route=ActivityLogRoute)


async def list_events(request: Request) -> Response:
    """The events of a subscription, newest first. `$filter` says at least from when."""
    service = service_of(request)
    subscription = check_subscription(request.path_params["subscriptionId"])
    wanted = activity_filter.parse(query(request, activity_filter.NAME), subscription)
    fields = _selected(request)
    page = await activity.list_activity(service, asker_of(request), wanted, limit=PAGE, after=skip_token(request))
    if not page.items:
        await subscriptions.check_subscription(service, subscription)
    own = tenant(service)
    listed: Json = {"value": [_narrow(render(entry, own), fields) for entry in page.items]}
    if page.after is not None:
        listed["nextLink"] = next_link(request, page.after)
    return json_response(listed)


def render(entry: Entry, tenant_id: str) -> Json:
    """An event as Azure tells it."""
    parts = _parts(entry.resource)
    identifier = str(uuid5(_EVENTS, str(entry.id)))
    kind = _type(entry, parts)
    return {
        "authorization": {"action": entry.operation, "role": "", "scope": entry.resource},
        "caller": entry.caller,
        "category": _named("Administrative"),
        "claims": {"name": entry.caller, "oid": entry.principal or ""},
        "correlationId": entry.correlation,
        "description": _description(entry),
        "eventDataId": identifier,
        "eventName": _named("BeginRequest" if entry.outcome == Outcome.STARTED else "EndRequest"),
        "eventTimestamp": _time(entry.at),
        "httpRequest": {
            "clientRequestId": entry.correlation,
            "clientIpAddress": (entry.address or "").partition("/")[0],
            "method": _METHODS.get(entry.operation.rpartition("/")[2], ""),
            "uri": "",
        },
        "id": f"{entry.resource}/events/{identifier}/ticks/{_ticks(entry.at)}",
        "level": _level(entry),
        "operationId": entry.correlation,
        "operationName": {"value": entry.operation, "localizedValue": _TITLES.get(entry.operation, entry.operation)},
        "properties": {
            "eventCategory": "Administrative",
            **{name: _text(value) for name, value in entry.properties.items()},
            "outcome": entry.outcome,
        },
        "resourceGroupName": parts.get("resourcegroups", ""),
        "resourceId": entry.resource,
        "resourceProviderName": _named(kind.partition("/")[0]),
        "resourceType": _named(kind),
        "status": _named("Failed" if entry.outcome == Outcome.REFUSED else entry.outcome),
        "subStatus": _sub_status(entry),
        "submissionTimestamp": _time(entry.at),
        "subscriptionId": parts.get("subscriptions", ""),
        "tenantId": tenant_id,
    }


def _text(value: object) -> str:
    """A property as Azure has them: a text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _selected(request: Request) -> frozenset[str]:
    """The names that are asked for, in small letters; none: all."""
    text = query(request, _SELECT)
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if len(names) > _MOST_SELECTED:
        raise Invalid(_SELECT, f"{len(names)} fields are selected", allowed=f"at most {_MOST_SELECTED}")
    return frozenset(names)


def _narrow(event: Json, fields: frozenset[str]) -> Json:
    return {name: value for name, value in event.items() if name.lower() in fields} if fields else event


def _named(value: str) -> Json:
    return {"value": value, "localizedValue": value}


def _parts(resource: str) -> Mapping[str, str]:
    """An id as pairs, its names in small letters; the last provider's type by ``type``."""
    words = resource.strip("/").split("/") if resource.startswith("/") else []
    return {name.lower(): value for name, value in zip(words[::2], words[1::2], strict=False)}


def _type(entry: Entry, parts: Mapping[str, str]) -> str:
    """The type of what an event is about: of its id where that has one, else of its operation."""
    words = entry.resource.split("/")
    if "providers" in parts:
        at = len(words) - 1 - [word.lower() for word in reversed(words)].index("providers")
        return "/".join([words[at + 1], *words[at + 2 :: 2]])
    return entry.operation.removesuffix("/action").rpartition("/")[0]


def _level(entry: Entry) -> str:
    if entry.operation == Operation.FIREWALL_LATE:
        return "Critical"
    return {Outcome.FAILED: "Error", Outcome.REFUSED: "Warning"}.get(Outcome(entry.outcome), "Informational")


def _sub_status(entry: Entry) -> Json:
    if entry.outcome not in _CODES:
        return _named("")
    text, code = _CODES[Outcome(entry.outcome)]
    reasons = entry.properties.get("reasons") or [{}]
    if entry.outcome == Outcome.REFUSED and all(reason.get("code") == Forbidden.code for reason in reasons):
        text, code = "Forbidden", 403
    return {"value": text, "localizedValue": f"{text} (HTTP Status Code: {code})"}


def _description(entry: Entry) -> str:
    """What was refused, and why, in a sentence."""
    return " ".join(f"{reason.get('message', '')}." for reason in entry.properties.get("reasons") or ())


def _time(at: datetime) -> str:
    """As Azure writes it, with seven digits."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _ticks(at: datetime) -> int:
    return _TICKS_TO_1970 + (at - EPOCH) // MICROSECOND * 10
