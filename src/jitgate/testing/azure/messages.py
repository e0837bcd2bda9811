"""Requests, answers and refusals, in the shapes of Azure Resource Manager."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]

_NOT_FOUND_FIX = "For more details please go to https://aka.ms/ARMResourceNotFoundFix"


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `headers` by names in lower case; `base`: what links in answers begin with."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = "https://management.azure.com"

    @classmethod
    def to(cls, method: str, target: str, body: object = None, **headers: str) -> "Request":
        """A call as a test writes it, signed in, with the newest api-version: ``If_Match`` is the header If-Match."""
        split = urlsplit(target)
        named = {name.lower().replace("_", "-"): value for name, value in headers.items()}
        return cls(
            method,
            split.path,
            {"api-version": "2024-05-01", **dict(parse_qsl(split.query))},
            {"authorization": "Bearer somebody", **named},
            b"" if body is None else json.dumps(body).encode(),
        )


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. `body` None: empty."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """A call that ends with an error body."""

    def __init__(
        self, status: int, code: str, message: str, *, details: object = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code = status, code
        self.headers = dict(headers or {})
        self.body = {"error": {"code": code, "message": message, "details": list(details)}}  # type: ignore[call-overload]

    @property
    def response(self) -> Response:
        return Response(self.status, self.body, self.headers)


def _by_the_gateway(code: str, message: str) -> Refusal:
    """What Resource Manager itself does not find, before any provider is asked."""
    return Refusal(404, code, message, headers={"x-ms-failure-cause": "gateway"})


def resource_not_found(kind: str, name: str, group: str) -> Refusal:
    message = f"The Resource '{kind}/{name}' under resource group '{group}' was not found. {_NOT_FOUND_FIX}"
    return _by_the_gateway("ResourceNotFound", message)


def group_not_found(group: str) -> Refusal:
    return _by_the_gateway("ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def subscription_not_found(subscription: str) -> Refusal:
    return _by_the_gateway("SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def child_not_found(id: str) -> Refusal:
    """What the network provider does not find in one of its resources."""
    return Refusal(404, "NotFound", f"Resource {id} not found.")


def parent_not_found(id: str) -> Refusal:
    message = f"Can not perform requested operation on nested resource. Parent resource '{id}' not found."
    return Refusal(404, "ParentResourceNotFound", message)


def etag_mismatch(given: str, held: str, id: str) -> Refusal:
    detail = {
        "code": "PreconditionFailedEtagMismatch",
        "message": f"Etag provided in if-match header {given} does not match etag {held} of resource {id} in NRP data"
        " store.",
    }
    return Refusal(412, "PreconditionFailed", "Precondition failed.", details=[detail])


def another_operation(id: str) -> Refusal:
    """429, which is not throttling: one write at a time (azure-sdk-for-python#556)."""
    detail = {
        "code": "RetryableErrorDueToAnotherOperation",
        "message": f"Operation on resource {id} is in progress. Cancelled by another operation.",
    }
    message = "A retryable error occurred."
    return Refusal(429, "RetryableError", message, details=[detail], headers={"retry-after": "1"})


def in_progress(id: str) -> Refusal:
    """The same, as a firewall says it (azurerm#4285)."""
    message = f"Another operation on this or dependent resource is in progress: {id}."
    return Refusal(409, "AnotherOperationInProgress", message)


def scope_locked(id: str, lock_scope: str, verb: str) -> Refusal:
    message = (
        f"The scope '{id}' cannot perform {verb} operation because following scope(s) are locked: '{lock_scope}'. "
        "Please remove the lock and try again."
    )
    return Refusal(409, "ScopeLocked", message)


def not_authorized(action: str, scope: str) -> Refusal:
    message = (
        f"The client does not have authorization to perform action '{action}' over scope '{scope}' or the scope is "
        "invalid. If access was recently granted, please refresh your credentials."
    )
    return Refusal(403, "AuthorizationFailed", message)


def throttled(kind: str, subscription: str, seconds: int) -> Refusal:
    message = (
        f"Number of '{kind}' requests for subscription '{subscription}' exceeded. Please try again after '{seconds}' "
        "seconds."
    )
    return Refusal(429, "SubscriptionRequestsThrottled", message, headers={"retry-after": str(seconds)})


def bad(code: str, message: str) -> Refusal:
    return Refusal(400, code, message)
