"""The server, as commands see it: paths in, JSON out, refusals as failures."""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from jitgate.cli.exits import Exit, Failure, NotAllowed, NotThere, Unreachable, Usage
from jitgate.cli.place import Place, is_loopback
from jitgate.cli.text import plain

Json = Any
Body = Mapping[str, Any]

API = "/api/v1"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
LONGEST_WAIT = 30.0
PAGE = 500

_FAILURES: Mapping[int, type[Failure]] = {
    400: Usage,
    401: NotAllowed,
    403: NotAllowed,
    404: NotThere,
    413: Usage,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}
_FORM = "application/x-www-form-urlencoded"
REFUSED_CODE = "RequestRefused"


class Server:
    """One server, asked with one token. Close it, or use it in a `with` block."""

    def __init__(self, place: Place, *, local_address: str | None = None) -> None:
        """`local_address`: "0.0.0.0" or "::" to reach the server by that family only."""
        self.place = place
        self._client = httpx.Client(
            base_url=place.url + API,
            headers={"Authorization": f"Bearer {place.token}", "Accept": "application/json"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            **_ways(place, local_address),
        )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Json:
        """What is at a path. `query` values of None are left out."""
        return self._ask("GET", path, query)

    def post(self, path: str, body: Body | None = None, **query: Any) -> Json:
        """What came of doing something."""
        return self._ask("POST", path, query, body)

    def put(self, path: str, body: Body, **query: Any) -> Json:
        """What was put."""
        return self._ask("PUT", path, query, body)

    def delete(self, path: str) -> Json:
        """Remove what is at a path."""
        return self._ask("DELETE", path, {})

    def pages(self, path: str, *, most: int | None = None, start: str | None = None, **query: Any) -> Iterator[Json]:
        """The items of a list, page by page, from a page's `after` on; at most so many."""
        after = start
        seen = 0
        while True:
            left = PAGE if most is None else min(PAGE, most - seen)
            page = self.get(path, after=after, limit=left, **query)
            yield from page["items"]
            seen += len(page["items"])
            after = page["after"]
            if after is None or seen == most:
                return

    def settle(self, path: str, is_settled: Callable[[Json], bool], first: Json, seconds: float) -> Json:
        """Ask again until what is at a path is settled, or the time is up. The server holds each answer back.

        A server that is restarted meanwhile is asked again.
        """
        deadline = time.monotonic() + seconds
        found = first
        while not is_settled(found) and (left := deadline - time.monotonic()) > 0:
            try:
                found = self.get(path, wait=round(min(left, LONGEST_WAIT), 3))
            except Unreachable:
                time.sleep(min(0.5, left))
        return found

    @contextmanager
    def stream(self, path: str, **query: Any) -> Iterator[Iterator[bytes]]:
        """A long answer, piece by piece."""
        with _explained(self.place), self._client.stream("GET", path, params=_said(query)) as response:
            if response.is_error:
                response.read()
                raise failure(response)
            yield response.iter_bytes()

    def _ask(self, method: str, path: str, query: Mapping[str, Any], body: Body | None = None) -> Json:
        timeout = httpx.Timeout(ANSWER_SECONDS + float(query.get("wait") or 0), connect=CONNECT_SECONDS)
        with _explained(self.place):
            response = self._client.request(method, path, params=_said(query), json=body, timeout=timeout)
        if response.is_error:
            raise failure(response)
        if response.is_redirect:
            raise Unreachable(f"{self.place.url} sends elsewhere. JITGATE_URL is the address of the server itself.")
        return _json(response) if response.content else None


class Door:
    """Where codes become tokens, asked by somebody who has no token yet. Close it, or use it in a `with` block."""

    def __init__(self, place: Place) -> None:
        self._place = place
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx.Client(base_url=place.url, timeout=timeout, **_ways(place, None))

    def __enter__(self) -> "Door":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def post(self, path: str, form: Mapping[str, str]) -> Json:
        """What a form answers, a refusal too: some of them mean to wait."""
        with _explained(self._place):
            response = self._client.post(path, data=dict(form), headers={"Content-Type": _FORM})
        answer = _json(response)
        if not isinstance(answer, dict) or isinstance(answer.get("error"), dict):
            raise failure(response)
        return answer


def path(*parts: str) -> str:
    """A path of the API out of names that may hold anything. An id's own slashes stay."""
    return "".join("/" + quote(part.strip("/"), safe="/") for part in parts)


def failure(response: httpx.Response) -> Failure:
    """What the server refused, as a failure with its exit code."""
    error = _error(response)
    reasons = [plain(each.get("message", "")) for each in error.get("details") or ()]
    message = "\n".join(reasons) or plain(error.get("message"))
    if _is_refusal(error):
        return Failure(message, exit=Exit.REFUSED, body=error)
    return _FAILURES.get(response.status_code, Failure)(message, body=error)


def _is_refusal(error: Body) -> bool:
    return error.get("code") == REFUSED_CODE


def _error(response: httpx.Response) -> Body:
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = None
    if isinstance(error, dict):
        return error
    return {"code": response.reason_phrase, "message": f"The server answered {response.status_code}, without a reason."}


def _json(response: httpx.Response) -> Json:
    try:
        return response.json()
    except ValueError:
        raise Unreachable(f"{response.url.host} answers, but not as jitgate does. Check JITGATE_URL.") from None


def _said(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _ways(place: Place, local_address: str | None) -> dict[str, Any]:
    """How to reach the server. Proxies of the environment hold, but never for this very machine."""
    verify = _trust(place)
    if local_address is not None:
        return {"transport": httpx.HTTPTransport(verify=verify, local_address=local_address)}
    return {"verify": verify, "trust_env": not is_loopback(place.host)}


def _trust(place: Place) -> ssl.SSLContext:
    """Whom to believe that it is the server: the place's own authority, and no other where there is one."""
    try:
        return ssl.create_default_context(cafile=place.ca)
    except OSError as error:
        raise Usage(
            f"{place.ca} is not a file of certificates ({error}). JITGATE_CA names the server's ca.pem."
        ) from None


@contextmanager
def _explained(place: Place) -> Iterator[None]:
    """Turn what can go wrong on the way into a failure that says what to do."""
    try:
        yield
    except httpx.ConnectError as error:
        raise _unreachable(place, error) from None
    except httpx.TimeoutException:
        raise Unreachable(
            f"{place.url} does not answer. Check that the server runs and that no firewall is in between."
        ) from None
    except httpx.TransportError as error:
        raise Unreachable(f"{place.url} broke the connection ({error}). Try again.") from None


def _unreachable(place: Place, error: httpx.ConnectError) -> Unreachable:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Unreachable(
            f"{place.url} does not prove who it is ({error}). "
            "Set JITGATE_CA to the server's ca.pem, and use a name that its certificate holds."
        )
    return Unreachable(f"{place.url} cannot be reached ({error}). Check that the server runs, and JITGATE_URL.")
