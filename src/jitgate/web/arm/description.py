"""How the operations look in the OpenAPI description. The code that reads and writes them does not depend on it."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping

from fastapi import Request, Response

from jitgate.web.arm import schemas
from jitgate.web.arm.routing import API_VERSIONS
from jitgate.web.arm.schemas import Schema, text

Endpoint = Callable[[Request], Awaitable[Response]]


def operation_id(endpoint: Endpoint, path: str) -> str:
    """The contract's own name for an operation."""
    name = _NAMES.get(endpoint.__name__, "List")
    if name == "List":
        name += "ByResourceGroup" if "{resourceGroupName}" in path else ""
        name += ("AndRegion" if name != "List" else "ByRegion") if "{ascLocation}" in path else ""
    return f"JitNetworkAccessPolicies_{name}"


def of(endpoint: Endpoint, path: str) -> Schema:
    """What an operation of the contract takes and gives."""
    answers = _ANSWERS.get(endpoint.__name__, {200: schemas.POLICIES})
    return around(path, answers, versions=API_VERSIONS, body=_BODIES.get(endpoint.__name__))


def around(
    path: str,
    answers: Mapping[int, Schema | str],
    *,
    versions: Collection[str] = (),
    query: Mapping[str, str] | None = None,
    body: Schema | None = None,
    error: Schema = schemas.ERROR,
) -> Schema:
    """What an operation takes and gives.

    `answers`   by status what is answered: a schema, or words where nothing is in the body
    `versions`  those that are spoken; none: any that is a date
    `query`     what else may be in the query, and what it means
    """
    said = _CONTRACT if versions else _ANY_VERSION
    version = text(said, enum=list(versions)) if versions else text(said, examples=["2022-04-01"])
    described: Schema = {
        "parameters": [
            *(parameter(name, "path", _IN_PATHS[name]) for name in re.findall(r"{(\w+)(?::path)?}", path)),
            parameter("api-version", "query", version),
            *(parameter(name, "query", text(says), required=False) for name, says in (query or {}).items()),
        ],
        "responses": {
            **{str(status): answer(given) for status, given in answers.items()},
            "default": answer(error, "Refused, and why."),
        },
    }
    if body is not None:
        described["requestBody"] = {"required": True, **_json(body)}
    return described


def parameter(name: str, where: str, schema: Schema, *, required: bool = True) -> Schema:
    """A parameter; what it is stands in its schema."""
    kind = {key: value for key, value in schema.items() if key != "description"}
    return {"name": name, "in": where, "required": required, "description": schema["description"], "schema": kind}


def answer(schema: Schema | str, says: str = "As asked.") -> Schema:
    """What an operation answers."""
    return {"description": schema} if isinstance(schema, str) else {"description": says, **_json(schema)}


def _json(schema: Schema) -> Schema:
    return {"content": {"application/json": {"schema": schema}}}


PAGE_BEGINS = "Where the page begins, as the `nextLink` of the page before has it. Left out: the first page."

_CONTRACT = "The version of Azure's contract. All of these mean the same here."
_ANY_VERSION = "A version of Azure's API: any date. What is answered does not depend on it."

_IN_PATHS = {
    "subscriptionId": text("A subscription's GUID.", format="uuid"),
    "resourceGroupName": text(
        "A resource group: letters, digits, and `-`, `.`, `_`, `(`, `)`; compared without case.",
        minLength=1,
        maxLength=90,
    ),
    "ascLocation": text(
        "The location that a policy is filed in: usually the machines' region, or `global` outside the clouds. "
        "Compared without case and spaces."
    ),
    "jitNetworkAccessPolicyName": text(
        "A policy's name, of its own in its resource group and location. Azure's portal has one called `default`."
    ),
    "vmName": text("A machine's name."),
    "pricingName": text("A plan's name. Here there is `VirtualMachines` only."),
    "scope": text("A scope path without its first slash: the id of a subscription, resource group or machine."),
    "roleDefinitionId": text("A role's id, a GUID. Who makes a role chooses it."),
    "roleAssignmentName": text("An assignment's id, a GUID. Who makes an assignment chooses it."),
}
_NAMES = {
    "get_policy": "Get",
    "put_policy": "CreateOrUpdate",
    "delete_policy": "Delete",
    "initiate": "Initiate",
}
_BODIES = {"put_policy": schemas.PUT_POLICY, "initiate": schemas.INITIATE}
_ANSWERS: Mapping[str, Mapping[int, Schema | str]] = {
    "get_policy": {200: schemas.POLICY},
    "put_policy": {200: schemas.POLICY},
    "delete_policy": {200: "It is removed.", 204: "There was none."},
    "initiate": {202: schemas.REQUEST},
}
