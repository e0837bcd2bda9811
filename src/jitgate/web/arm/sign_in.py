"""Where Azure's clients sign in: what they look up, and client credentials for an access token (RFC 6749, 4.4)."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response

from jitgate.core.errors import Invalid, TooMany
from jitgate.service import lending
from jitgate.service.lending import WrongClient, tenant
from jitgate.service.recognition import Caller
from jitgate.web.arm import around_schemas, description
from jitgate.web.arm.around_schemas import CONFIGURATION, KEYS, OAUTH_ERROR, TOKEN, TOKEN_FORM
from jitgate.web.arm.routing import AzureRoute
from jitgate.web.arm.schemas import Schema, text
from jitgate.web.body import StrictRoute
from jitgate.web.dependencies import service_of
from jitgate.web.errors import json_response
from jitgate.web.form import FORM, read_form
from jitgate.web.oauth import refusal
from jitgate.web.sites import host_of

Json = Mapping[str, Any]

GRANT = "client_credentials"
LONGEST_CLIENT = 260
_COMMON = frozenset({"common", "organizations"})
_TENANT = "The tenant's id, or `common` or `organizations`, as clients have it. There is one tenant here."


def add_routes(app: FastAPI) -> None:
    """Add the doors for Azure's clients to an application."""
    path = "/metadata/endpoints"
    app.router.add_api_route(
        path,
        metadata,
        methods=["GET"],
        route_class_override=AzureRoute,
        response_class=Response,
        tags=["Azure sign-in"],
        openapi_extra=description.around(path, {200: around_schemas.METADATA}),
    )
    for method, path, endpoint, described in (
        ("GET", "/{tenant}/v2.0/.well-known/openid-configuration", configuration, _described(CONFIGURATION)),
        ("GET", "/{tenant}/discovery/v2.0/keys", keys, _described(KEYS)),
        ("POST", "/{tenant}/oauth2/v2.0/token", token, _described(TOKEN, TOKEN_FORM)),
    ):
        app.router.add_api_route(
            path,
            endpoint,
            methods=[method],
            route_class_override=StrictRoute,
            response_class=Response,
            tags=["Azure sign-in"],
            openapi_extra=described,
        )


async def metadata(request: Request) -> Response:
    """What ``az cloud register`` and ``Add-AzEnvironment`` read."""
    here = _here(request)
    authentication = {
        "loginEndpoint": here,
        "audiences": [here],
        "tenant": "common",
        "identityProvider": "AAD",
    }
    # az wants to know where Microsoft Graph is before it lists role assignments; it can do without its answers.
    others = (
        "portal",
        "gallery",
        "graph",
        "graphAudience",
        "microsoftGraphResourceId",
        "media",
        "batch",
        "sqlManagement",
    )
    empty = dict.fromkeys(others, here)
    found = {
        "name": "jitgate",
        "resourceManager": here,
        "authentication": authentication,
        "suffixes": {},
        "vmImageAliasDoc": "",
        **empty,
    }
    return json_response(found)


async def configuration(request: Request) -> Response:
    """What clients look up about signing in (OpenID Connect Discovery, 3)."""
    base, here = _issuer(request), f"{_here(request)}/{request.path_params['tenant']}"
    return json_response(
        {
            "issuer": base,
            "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
            "token_endpoint": f"{here}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{here}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{here}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "grant_types_supported": [GRANT],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }
    )


async def keys(request: Request) -> Response:
    """The public key by which jitgate's own tokens can be known."""
    service = service_of(request)
    return json_response(service.bearers.signer.public(service.clock.wall()))


async def token(request: Request) -> Response:
    """An access token for a service principal's client secret."""
    try:
        form = await read_form(request)
    except Invalid as error:
        return refusal("invalid_request", error.message)
    if not _is_own(request):
        return refusal("invalid_tenant", "There is no such tenant here.")
    if form.get("grant_type") != GRANT:
        return refusal("unsupported_grant_type", f"Only {GRANT} is accepted here.")
    client = form.get("client_id", "")[:LONGEST_CLIENT]
    caller = Caller(request.scope["state"]["address"], request.scope["state"]["correlation"])
    try:
        lent = await lending.lend(service_of(request), caller, client, form.get("client_secret", ""), _issuer(request))
    except WrongClient as error:
        return refusal("invalid_client", error.message, 401)
    except TooMany as error:
        return refusal("temporarily_unavailable", error.message, 429, {"Retry-After": str(error.wait)})
    answer = {"token_type": "Bearer", "expires_in": lent.seconds, "ext_expires_in": lent.seconds}
    return json_response({**answer, "access_token": lent.token})


def _described(answer: Schema, form: Schema | None = None) -> Schema:
    """What a door takes and gives, for the OpenAPI description."""
    described: Schema = {
        "parameters": [description.parameter("tenant", "path", text(_TENANT))],
        "responses": {"200": description.answer(answer)},
    }
    if form is not None:
        described["requestBody"] = {"required": True, "content": {FORM: {"schema": form}}}
        described["responses"]["default"] = description.answer(OAUTH_ERROR, "Refused, and why.")
    return described


def _here(request: Request) -> str:
    """This server, by the name that the client called it: the gate has looked whether it is one of ours."""
    return f"https://{host_of(request.scope)}"


def _issuer(request: Request) -> str:
    return f"{_here(request)}/{tenant(service_of(request))}/v2.0"


def _is_own(request: Request) -> bool:
    asked = request.path_params["tenant"].lower()
    return asked in _COMMON or asked == tenant(service_of(request))
