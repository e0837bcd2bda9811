"""Calls of Azure Resource Manager, with plain JSON, and what its answers mean.

By the pipeline of azure-core, in threads of our own. Nothing is tried again here: whoever asks knows how long its
lease lasts. A call ends within CALL_SECONDS, so that none is under way when a lease is over.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import requests
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, HeadersPolicy, RequestIdPolicy, UserAgentPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.core import ARMPipelineClient
from requests.adapters import HTTPAdapter

from jitgate import __version__
from jitgate.connectors.azure import credentials
from jitgate.connectors.azure.pacing import Pacer
from jitgate.connectors.azure.settings import Settings, is_loopback
from jitgate.connectors.base import ConnectorError
from jitgate.failpoints import failpoint

CONNECT_SECONDS, READ_SECONDS = 3.0, 6.0
CALL_SECONDS: Final = CONNECT_SECONDS + READ_SECONDS
POLL_SECONDS = 1.0
AT_ONCE = 16
MOST_PAGES = 1000
_BUSY = {"RetryableErrorDueToAnotherOperation", "AnotherOperationInProgress", "RetryableError"}
_RETRIED = {"CanceledAndSupersededDueToAnotherOperation", "Canceled"}


class ArmError(ConnectorError):
    """Azure did not do it.

    `status`  that of HTTP; 0: no answer came
    `codes`   that of the error and those of its details
    `after`   seconds that Azure asked to wait
    """

    def __init__(self, message: str, status: int = 0, codes: frozenset[str] = frozenset(), after: float = 0) -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes
        self.after = after

    @property
    def is_busy(self) -> bool:
        """Another operation is at it: not throttling; soon it is over."""
        return (self.status in (429, 409) and bool(self.codes & _BUSY)) or bool(self.codes & _RETRIED)

    @property
    def is_throttled(self) -> bool:
        """Too many calls."""
        return self.status == 429 and not self.is_busy

    @property
    def is_locked(self) -> bool:
        """A lock forbids it."""
        return "ScopeLocked" in self.codes

    @property
    def is_outdated(self) -> bool:
        """What was known of the resource is not so any more: another has written, or taken the priority."""
        return self.status == 412 or "SecurityRuleConflict" in self.codes


@dataclass(frozen=True, slots=True)
class Answer:
    """What Azure answered."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def operation(self) -> str | None:
        """Where to ask how the operation goes; None: it is over."""
        is_under_way = self.status in (201, 202) or _state(self.body) in ("updating", "deleting")
        headers = {name.lower(): value for name, value in self.headers.items()}
        found = headers.get("azure-asyncoperation") or headers.get("location")
        return found if is_under_way else None


class Arm:
    """One account's way to Azure Resource Manager. `calls` counts what was asked, by method; `pacer` knows how many
    writes may be begun now."""

    def __init__(self, settings: Settings, elapsed: Callable[[], float] = time.monotonic) -> None:
        self.pacer = Pacer(elapsed)
        self._settings = settings
        self._credential = credentials.make(settings)
        transport = RequestsTransport(session=_session(), connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        policies: list[Any] = [RequestIdPolicy(), UserAgentPolicy(f"jitgate/{__version__}")]
        if self._credential is None:
            policies.append(HeadersPolicy({"Authorization": "Bearer none"}))
        else:
            is_here = is_loopback(settings.endpoint)
            policies.append(BearerTokenCredentialPolicy(self._credential, settings.scope, enforce_https=not is_here))
        self._client: ARMPipelineClient[HttpRequest, HttpResponse] = ARMPipelineClient(
            settings.endpoint, policies=policies, transport=transport
        )
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="azure")
        self.calls: Counter[str] = Counter()

    async def close(self) -> None:
        """Let go of connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()
        credentials.close(self._credential)

    async def get(self, path: str, version: str, **query: str) -> Any:
        """A resource. Raises ArmError."""
        return (await self._call("GET", self._url(path, version, **query))).body

    async def list(self, path: str, version: str, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """All resources of a list, page by page. Raises ArmError."""
        url: str | None = self._url(path, version, **query)
        for _ in range(MOST_PAGES):
            body = (await self._call("GET", self._own(str(url)))).body or {}
            for item in body.get("value") or ():
                yield item
            url = body.get("nextLink")
            if not url:
                return

    async def ask(self, path: str, version: str, body: Any) -> Any:
        """What a question is answered with. Raises ArmError."""
        return (await self._call("POST", self._url(path, version), body)).body or {}

    async def put(self, path: str, version: str, body: Any, etag: str = "") -> Answer:
        """Begin to make or change a resource. Raises ArmError."""
        headers = {"If-Match": etag} if etag else {}
        return await self._call("PUT", self._url(path, version), body, headers)

    async def delete(self, path: str, version: str) -> Answer:
        """Begin to remove a resource; one that is not there is removed. Raises ArmError."""
        try:
            return await self._call("DELETE", self._url(path, version))
        except ArmError as error:
            if error.status == 404:
                return Answer(204, None)
            raise

    async def is_over(self, operation: str) -> bool:
        """Whether an operation has succeeded; False: it goes on. Raises ArmError, where it failed."""
        answer = await self._call("GET", self._own(operation), kind="POLL")
        if answer.status == 202:
            return False
        body = answer.body if isinstance(answer.body, dict) else {}
        status = str(body.get("status", "Succeeded")).lower()
        if status == "succeeded":
            return True
        if status not in ("failed", "canceled", "cancelled"):
            return False
        raise _failure(answer.status, {"error": {"code": status.capitalize(), **(body.get("error") or {})}}, {})

    async def _call(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, kind: str = ""
    ) -> Answer:
        self.calls[kind or method] += 1
        path = urlsplit(url).path
        self.pacer.sent(method, path)
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._threads, self._send, method, url, body, dict(headers or {}))
        except ArmError as error:
            if error.is_throttled:
                self.pacer.refused(method, path, error.after)
            raise
        self.pacer.told(method, path, answer.headers)
        return answer

    def _send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> Answer:
        failpoint("azure.before_call")
        request = (
            HttpRequest(method, url, headers=headers, json=body)
            if body is not None
            else HttpRequest(method, url, headers=headers)
        )
        try:
            response = self._client.send_request(request)
            text = response.text()
        except ClientAuthenticationError as error:
            raise ArmError(f"signing in to Azure failed: {str(error)[:300]}", 401) from error
        except AzureError as error:
            raise ArmError(f"Azure does not answer: {str(error)[:300]}") from error
        failpoint("azure.after_call")
        return _answer(response.status_code, text, response.headers)

    def _url(self, path: str, version: str, **query: str) -> str:
        return f"{self._settings.endpoint}/{path.lstrip('/')}?{urlencode({'api-version': version, **query})}"

    def _own(self, url: str) -> str:
        """A URL that an answer named. The token goes to Azure Resource Manager and nowhere else."""
        if urlsplit(url)[:2] != urlsplit(self._settings.endpoint)[:2]:
            raise ArmError(f"Azure sends to another server: {url[:100]}")
        return url


def _session() -> requests.Session:
    """With as many connections as calls are under way at once."""
    session, kept = requests.Session(), HTTPAdapter(pool_maxsize=AT_ONCE)
    session.mount("https://", kept)
    session.mount("http://", kept)
    return session


def _answer(status: int, text: str, headers: Mapping[str, str]) -> Answer:
    try:
        body = json.loads(text) if text else None
    except ValueError:
        raise ArmError(f"Azure answered {status} without JSON", status) from None
    if status >= 400:
        raise _failure(status, body, headers)
    return Answer(status, body, dict(headers))


def _failure(status: int, body: Any, headers: Mapping[str, str]) -> ArmError:
    told = body.get("error", body) if isinstance(body, dict) else {}
    told = told if isinstance(told, dict) else {}
    details = [each for each in told.get("details") or () if isinstance(each, dict)]
    codes = frozenset(str(each.get("code")) for each in (told, *details) if each.get("code"))
    message = f"Azure answered {status} {told.get('code', '')}: {str(told.get('message', ''))[:300]}"
    return ArmError(message, status, codes, seconds_to_wait(headers))


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """What a Retry-After asks for: seconds, or a date (RFC 9110, 10.2.3), which is measured by the answer's own Date,
    whatever the clock here says. 0: it says nothing, or nonsense."""
    after = headers.get("Retry-After", "")
    if after.replace(".", "", 1).isdigit():
        return float(after)
    try:
        wait = parsedate_to_datetime(after) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return 0
    return max(0.0, wait.total_seconds())


def _state(body: Any) -> str:
    told = body.get("properties") if isinstance(body, dict) else None
    return str(told.get("provisioningState", "")).lower() if isinstance(told, dict) else ""
