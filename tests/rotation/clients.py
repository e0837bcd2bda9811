"""Everybody who uses a server, all the time: what a rotation must not disturb.

with Clients(jitgate) as clients, clients.at_work():
    jitgate.run("keys", "rotate", …)
"""

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import httpx
from joserfc import jws
from tests.elsewhere import Elsewhere
from tests.processes import Jitgate, until
from tests.rotation.authorities import Issuer, pem

from jitgate.agent import membership
from jitgate.cli import sealed
from jitgate.core.verification import Finding
from jitgate.trust.files import write_private

WHOAMI = "/api/v1/whoami"


class Clients:
    """A personal token, a browser that has signed in, and a program with a lent token, as az has one.

    Each call is over a new connection, so that each sees the certificate of that moment.
    """

    def __init__(self, jitgate: Jitgate, url: str = "", trust: Callable[[], ssl.SSLContext] | None = None) -> None:
        self.jitgate = jitgate
        self.url = url or jitgate.url
        self._trust = trust or (lambda: ssl.create_default_context(cafile=str(jitgate.directory / "ca.pem")))
        self._token = (jitgate.directory / "owner.token").read_text().strip()
        self._lent = ""
        self.calls = 0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._browser = self._sign_in()
        self._form = self._make_program()
        self._lent = self.lend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lent = ""

    def client(self, **headers: str) -> httpx.Client:
        """A client over a connection of its own."""
        # Not by the environment: a test changes that while these are at work, in threads of their own.
        return httpx.Client(base_url=self.url, headers=headers, verify=self._trust(), timeout=90, trust_env=False)

    def as_owner(self) -> httpx.Client:
        return self.client(Authorization=f"Bearer {self._token}")

    def lend(self) -> str:
        """A new access token of the program's."""
        with self.client() as client:
            answer = client.post("/organizations/oauth2/v2.0/token", data=self._form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def look(self) -> list[str]:
        """Have each of them ask once; who did not get what they had before."""
        return [f"{who}: {why}" for who, ask in self._all.items() if (why := _outcome(ask))]

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """All of them ask, again and again, until it is left; then nobody may have been refused."""
        assert self.look() == []
        ended = threading.Event()
        working = threading.Thread(target=self._work, args=(ended,))
        working.start()
        try:
            yield
            self.rounds(2)
        finally:
            ended.set()
            working.join()
        assert self.failures == []

    def rounds(self, count: int) -> None:
        """Wait until each of them has asked so many times more."""
        wanted = self.calls + count + 1
        until(lambda: self.calls >= wanted, "the clients do not get on")

    def _work(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self.failures += self.look()
            self.calls += 1

    @property
    def _all(self) -> Mapping[str, Callable[[], httpx.Response]]:
        return {"token": self._by_token, "browser": self._by_cookie, "program": self._by_lent_token}

    def _by_token(self) -> httpx.Response:
        with self.as_owner() as client:
            return client.get(WHOAMI)

    def _by_cookie(self) -> httpx.Response:
        with self.client(Cookie=self._browser) as client:
            return client.get("/machines")

    def _by_lent_token(self) -> httpx.Response:
        with self.client(Authorization=f"Bearer {self._lent}") as client:
            return client.get(WHOAMI)

    def _sign_in(self) -> str:
        with self.as_owner() as owner:
            path = owner.post("/api/v1/sign-in-links").json()["path"]
        with self.client(Origin=self.url) as client:
            answer = client.post("/sign-in/link", data={"link": path.rpartition("#")[2]})
        assert answer.status_code == 303, answer.text
        return "; ".join(f"{name}={value}" for name, value in answer.cookies.items())

    def _make_program(self) -> Mapping[str, str]:
        with self.as_owner() as owner:
            made = owner.post(
                "/api/v1/principals", json={"name": f"deploy-{uuid4().hex[:8]}", "kind": "service"}
            ).json()
            secret = owner.post(f"/api/v1/principals/{made['name']}/secrets", json={"name": "x"}).json()["secret"]
        return {"grant_type": "client_credentials", "client_id": made["id"], "client_secret": secret}


def _outcome(ask: Callable[[], httpx.Response]) -> str:
    """What went wrong; "" for nothing."""
    try:
        answer = ask()
    except httpx.HTTPError as error:
        return f"{type(error).__name__} {error}"
    return "" if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"


def by_name(jitgate: Jitgate) -> str:
    """The server's URL with the name that the operator's certificate is for."""
    return f"https://localhost:{jitgate.port}"


def trusting(*issuers: Issuer) -> ssl.SSLContext:
    """Somebody who believes these, and nobody else."""
    return ssl.create_default_context(cadata="".join(pem(each.root).decode() for each in issuers))


def is_heard(jitgate: Jitgate) -> bool:
    """Whether the server hears the agent."""
    return any(each["verified"] for each in jitgate.call("GET", "/api/v1/hosts"))


def learns(jitgate: Jitgate, edge: Elsewhere, after: int) -> membership.Membership:
    """What the agent knows once it has a key set later than an epoch: it opens and shuts a port with it."""
    grant = jitgate.open("win-1", "127.0.0.2", seconds=60, port=edge.target.port)
    assert jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")["state"] == "closed"
    until(lambda: membership.read(edge.directory).keyset.epoch > after, "the agent is not told")
    return membership.read(edge.directory)


def have_come(path: Path) -> None:
    """The moment in a file of keys, as if the clock had gone on."""
    moment = datetime.now(UTC).isoformat()
    write_private(path, re.sub("(?<=Used-From: ).*", moment, path.read_text()).encode())


def kid(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


def whoami(clients: Clients, token: str) -> httpx.Response:
    with clients.client(Authorization=f"Bearer {token}") as client:
        return client.get(WHOAMI)


def verify(clients: Clients, tmp_path: Path, first: str) -> Finding:
    """Export the record, and check it with the first key alone."""
    exported = tmp_path / "record.jsonl"
    with clients.as_owner() as client:
        exported.write_bytes(client.get("/api/v1/activity/export?format=sealed").content)
    return sealed.verify(str(exported), frozenset({first}), [], part=False)


def sealed_by(finding: Finding) -> str:
    return finding.last.key if finding.last else ""


def shown_serial(clients: Clients, authority: str) -> str:
    """Of the certificate by our own authority, as who knows that authority sees it."""
    context = ssl.create_default_context(cadata=authority)
    with (
        socket.create_connection(("127.0.0.1", clients.jitgate.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        return str((wrapped.getpeercert() or {})["serialNumber"])
