"""How the operations look in the OpenAPI description. The code that reads and writes them does not depend on it."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from fastapi import Request, Response

from jitgate.core.policy import MOST_MACHINES, MOST_PORTS
from jitgate.web.arm.routing import API_VERSIONS

Endpoint = Callable[[Request], Awaitable[Response]]
Schema = dict[str, Any]


def operation_id(endpoint: Endpoint, path: str) -> str:
    """The contract's own name for an operation."""
    name = _NAMES.get(endpoint.__name__, "List")
    if name == "List":
        name += "ByResourceGroup" if "{resourceGroupName}" in path else ""
        name += ("AndRegion" if name != "List" else "ByRegion") if "{ascLocation}" in path else ""
    return f"JitNetworkAccessPolicies_{name}"


def of(endpoint: Endpoint, path: str) -> Schema:
    """What an operation takes and gives."""
    answers = _RESPONSES.get(endpoint.__name__, _response(200, _LIST))
    described: Schema = {
        "parameters": [_PARAMETERS[name] for name in _PARAMETERS if name == "api-version" or f"{{{name}}}" in path],
        "responses": {**answers, "default": _body("Refused, and why.", _ERROR)},
    }
    if endpoint.__name__ in _BODIES:
        described["requestBody"] = {"required": True, **_body("", _BODIES[endpoint.__name__])}
    return described


def around(path: str, versions: Collection[str] = (), query: Collection[str] = (), body: bool = False) -> Schema:
    """What an operation around the contract takes; its answers are Azure's, and described there."""
    names = re.findall(r"{(\w+)}", path)
    version: Schema = {"type": "string", "enum": list(versions)} if versions else {**_TEXT, "examples": ["2022-04-01"]}
    optional = [{"name": name, "in": "query", "schema": _TEXT} for name in query]
    described: Schema = {
        "parameters": [
            *(_PARAMETERS.get(name) or _parameter(name, "path", _TEXT) for name in names),
            _parameter("api-version", "query", version),
            *optional,
        ],
        "responses": {"200": {"description": "As asked."}, "default": _body("Refused, and why.", {"type": "object"})},
    }
    if body:
        described["requestBody"] = {"required": True, **_body("", {"type": "object"})}
    return described


def _object(required: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": required.split(), "properties": properties}


def _list(items: Schema, most: int | None = None) -> Schema:
    return {"type": "array", "items": items, **({} if most is None else {"maxItems": most})}


def _body(text: str, schema: Schema) -> Schema:
    content = {"content": {"application/json": {"schema": schema}}}
    return {"description": text, **content} if text else content


def _response(status: int, schema: Schema) -> Schema:
    return {str(status): _body("As asked.", schema)}


_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
_SOURCES: Mapping[str, Schema] = {
    "allowedSourceAddressPrefix": {**_TEXT, "description": "An address, a CIDR prefix, or *."},
    "allowedSourceAddressPrefixes": {**_list(_TEXT), "description": "Instead of allowedSourceAddressPrefix."},
}
_PORT_RULE = _object(
    "number protocol maxRequestAccessDuration",
    number=_NUMBER,
    protocol={"type": "string", "enum": ["TCP", "UDP", "*"]},
    maxRequestAccessDuration={**_TEXT, "description": "ISO 8601, PT5M to P1D.", "examples": ["PT3H"]},
    **_SOURCES,
)
_INITIATE_PORT = _object(
    "number",
    number=_NUMBER,
    endTimeUtc={**_TIME, "description": "This or duration."},
    duration={**_TEXT, "description": "ISO 8601. This or endTimeUtc.", "examples": ["PT1H"]},
    **_SOURCES,
)
_REQUEST_PORT = _object(
    "number endTimeUtc status statusReason",
    number=_NUMBER,
    endTimeUtc=_TIME,
    status={"type": "string", "enum": ["Initiating", "Initiated", "Revoked"]},
    statusReason={"type": "string", "enum": ["UserRequested", "Expired", "NewerRequestInitiated"]},
    mappedPort={"type": "integer"},
    **_SOURCES,
)


def _machines(port: Schema, **more: Schema) -> Schema:
    return _list(_object("id ports", id=_TEXT, ports=_list(port, MOST_PORTS), **more), MOST_MACHINES)


_INITIATE = _object("virtualMachines", virtualMachines=_machines(_INITIATE_PORT), justification=_TEXT)
_REQUEST = _object(
    "virtualMachines startTimeUtc requestor",
    virtualMachines=_machines(_REQUEST_PORT),
    startTimeUtc=_TIME,
    requestor=_TEXT,
    justification=_TEXT,
)
_PUT = _object(
    "properties",
    kind=_TEXT,
    properties=_object("virtualMachines", virtualMachines=_machines(_PORT_RULE, publicIpAddress=_TEXT)),
)
_POLICY = _object(
    "id name type location kind properties",
    id=_TEXT,
    name=_TEXT,
    type=_TEXT,
    location=_TEXT,
    kind=_TEXT,
    properties=_object(
        "virtualMachines requests provisioningState",
        virtualMachines=_machines(_PORT_RULE, publicIpAddress=_TEXT),
        requests=_list(_REQUEST),
        provisioningState={"type": "string", "enum": ["Updating", "Succeeded"]},
        appendMode={"type": "boolean"},
    ),
)
_LIST = _object("value", value=_list(_POLICY), nextLink=_TEXT)
_DETAIL = _object("code message", code=_TEXT, message=_TEXT, target=_TEXT)
_ERROR = _object(
    "error", error=_object("code message details", code=_TEXT, message=_TEXT, target=_TEXT, details=_list(_DETAIL))
)

_NAMES = {
    "get_policy": "Get",
    "put_policy": "CreateOrUpdate",
    "delete_policy": "Delete",
    "initiate": "Initiate",
}
_BODIES = {"put_policy": _PUT, "initiate": _INITIATE}
_RESPONSES = {
    "get_policy": _response(200, _POLICY),
    "put_policy": _response(200, _POLICY),
    "delete_policy": {"200": {"description": "It is removed."}, "204": {"description": "There was none."}},
    "initiate": _response(202, _REQUEST),
}


def _parameter(name: str, where: str, schema: Schema) -> Schema:
    return {"name": name, "in": where, "required": True, "schema": schema}


_PARAMETERS = {
    "subscriptionId": _parameter("subscriptionId", "path", {"type": "string", "format": "uuid"}),
    "resourceGroupName": _parameter("resourceGroupName", "path", {"type": "string", "minLength": 1, "maxLength": 90}),
    "ascLocation": _parameter("ascLocation", "path", _TEXT),
    "jitNetworkAccessPolicyName": _parameter("jitNetworkAccessPolicyName", "path", _TEXT),
    "api-version": _parameter("api-version", "query", {"type": "string", "enum": list(API_VERSIONS)}),
}
