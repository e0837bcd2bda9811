"""What a host elsewhere, or who holds its key, may do to the server and to others: nothing."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.server import Server

from jitgate.audit.sealer import Sealer
from jitgate.connectors.hosts import polls
from jitgate.connectors.hosts.polls import Poll, Said
from jitgate.store import presence, scopes
from jitgate.store.migrations import newest
from jitgate.store.presence import Replica
from jitgate.trust import record_key, signatures


class Host:
    """A host whose agent the test plays, and says what no agent says."""

    def __init__(self, server: Server, owner: httpx.Client, name: str) -> None:
        self.server, self.name = server, name
        self.key = signatures.make()
        made = owner.post("/api/v1/hosts/tokens", json={}).raise_for_status()
        self.client = server.client("")
        body = json.dumps({"name": name, "publicKey": self.key.public, "nonce": "1"}).encode()
        headers = {
            "Authorization": f"Bearer {made.json()['token']}",
            "Jitgate-Signature": self.key.sign(polls.JOIN, body),
        }
        told = self.client.post(polls.JOIN_PATH, content=body, headers=headers).raise_for_status().json()
        self.uuid, self.scope = told["host"], told["scope"]
        self.session, self.turn, self.said = "", 0, 0

    def begin(self) -> httpx.Response:
        """Begin a session."""
        self.session, self.turn, self.said = "", 0, 0
        answer = self.poll()
        if answer.status_code == 200:
            self.session = polls.decode_reply(answer.content).session
        return answer

    def poll(
        self, *said: dict[str, Any], session: str | None = None, change: bytes = b"", into: bytes = b""
    ) -> httpx.Response:
        body = self.body(*said, session=session).replace(change, into) if change else self.body(*said, session=session)
        return self.client.post(polls.POLL_PATH, content=body, headers=self.headers(body))

    def body(self, *said: dict[str, Any], session: str | None = None) -> bytes:
        self.turn += 1
        poll = Poll(self.uuid, self.session if session is None else session, self.turn, "n", 0, 9, Said())
        told = json.loads(polls.encode_poll(poll))
        first, self.said = self.said + 1, self.said + len(said)
        return json.dumps({**told, "first": first, "said": list(said)}).encode()

    def headers(self, body: bytes) -> dict[str, str]:
        return {
            "Authorization": f"Agent {self.uuid} {self.key.sign(polls.POLL, body)}",
            "Jitgate-Session": self.session,
        }

    def happened(self, detail: str) -> dict[str, Any]:
        return {
            "say": "happened",
            "kind": "repaired",
            "scope": self.scope,
            "detail": detail,
            "at": 1_900_000_000_000_000,
            "by": "",
            "why": "",
            "record": "",
        }


@pytest.fixture
def join(server: Server, owner: httpx.Client) -> Iterator[Callable[[str], Host]]:
    """Have a host join under a name."""
    with contextlib.ExitStack() as opened:

        def make(name: str) -> Host:
            made = Host(server, owner, name)
            opened.callback(made.client.close)
            return made

        yield make


@pytest.fixture(autouse=True)
def no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of nobody is not waited for."""
    monkeypatch.setattr(polls, "HOLD_SECONDS", 0.05)


def settled(server: Server) -> None:
    """All that hosts have said is on record."""

    async def wait() -> None:
        while telling := server.fleet._telling:
            await asyncio.wait(set(telling))

    server.call(wait())


@pytest.mark.parametrize("text", ["\\ud800", "\\udfff", "\\u0000"])
def test_a_text_that_no_encoding_holds_does_not_reach_the_record(
    server: Server, owner: httpx.Client, join: Callable[[str], Host], text: str
) -> None:
    host = join(f"text-{text[2:]}")
    host.begin()
    answer = host.poll(host.happened("HERE"), change=b"HERE", into=text.encode())
    settled(server)
    server.call(Sealer(server.service.store, record_key.ensure(server.directory).now, "test").seal_all())
    assert answer.status_code == 400


def test_a_number_that_is_none_does_not_reach_who_lists_machines(
    server: Server, owner: httpx.Client, join: Callable[[str], Host]
) -> None:
    host = join("infinite")
    host.begin()
    facts = {"name": "x", "uuid": "x", "addresses": [], "unsupported": "", "facts": {"x": "HERE"}}
    for number in (b"Infinity", b"NaN", b"1e999"):
        answer = host.poll({"say": "hosts", "number": 0, "hosts": [facts]}, change=b'"HERE"', into=number)
        assert answer.status_code == 400
    settled(server)
    assert owner.get("/api/v1/machines").status_code == 200


def test_only_addresses_are_taken_for_addresses(
    server: Server, owner: httpx.Client, join: Callable[[str], Host]
) -> None:
    host = join("addresses")
    host.begin()
    told = ["-oProxyCommand=evil", "10.9.8.7", "x" * 4000, *(f"10.8.{n // 250}.{n % 250}" for n in range(500))]
    facts = {"name": "x", "uuid": "x", "addresses": told, "unsupported": "", "facts": {}}
    host.poll({"say": "hosts", "number": 0, "hosts": [facts]})
    settled(server)
    [shown] = [each for each in owner.get("/api/v1/hosts").json() if each["name"] == "addresses"]
    assert shown["addresses"][0] == "10.9.8.7"
    assert len(shown["addresses"]) <= 64


def test_a_host_cannot_flood_the_record(server: Server, owner: httpx.Client, join: Callable[[str], Host]) -> None:
    host = join("flood")
    host.begin()
    for _ in range(8):
        answer = host.poll(*(host.happened("again") for _ in range(90)))
        assert answer.status_code == 200
        settled(server)
    assert events(server, host) < 300


def events(server: Server, host: Host) -> int:
    return sum(host.scope in map(str, row) for row in server.rows()["activity"])


def test_two_agents_with_one_key_cannot_flood_the_record(
    server: Server, owner: httpx.Client, join: Callable[[str], Host]
) -> None:
    host = join("doubled")
    host.begin()
    for _ in range(60):
        former = host.session
        host.begin()
        answer = host.poll(session=former)
        settled(server)
        if answer.status_code == 200:
            host.session = polls.decode_reply(answer.content).session
    assert events(server, host) <= 2


def test_a_removed_host_cannot_speak_by_a_poll_that_it_began_before(
    server: Server, owner: httpx.Client, join: Callable[[str], Host]
) -> None:
    removed = join("slow")
    body = removed.body()
    successors = []

    def slowly() -> Iterator[bytes]:
        yield body[:10]
        # By now the server has looked who this is.
        threading.Event().wait(0.3)
        owner.delete("/api/v1/hosts/slow").raise_for_status()
        successors.append(join("slow"))
        assert successors[0].begin().status_code == 200
        yield body[10:]

    answer = removed.client.post(polls.POLL_PATH, content=slowly(), headers=removed.headers(body))
    assert answer.status_code == 401
    assert server.fleet._lines[removed.scope].member.uuid == successors[0].uuid


def test_what_waits_under_a_name_is_turned_away_without_hanging_up_on_the_member(
    server: Server, owner: httpx.Client, join: Callable[[str], Host]
) -> None:
    member, waiting = join("twice"), join("twice")
    member.begin()
    owner.delete(f"/api/v1/hosts/{waiting.uuid}").raise_for_status()
    assert polls.decode_reply(member.poll().content).session == member.session


def test_no_host_sends_more_than_it_was_asked_for(
    server: Server, owner: httpx.Client, join: Callable[[str], Host]
) -> None:
    host = join("large")
    host.begin()
    body = host.body() + b" " * (8 << 20)
    assert host.client.post(polls.POLL_PATH, content=body, headers=host.headers(body)).status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(
    server: Server, owner: httpx.Client, join: Callable[[str], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jitgate.web.agents.routes._BODY_SECONDS", 0.2, raising=False)
    host = join("drip")
    body = host.body()

    def drip() -> Iterator[bytes]:
        yield body[:10]
        threading.Event().wait(1.5)
        yield body[10:]

    assert host.client.post(polls.POLL_PATH, content=drip(), headers=host.headers(body)).status_code == 400


def test_a_session_that_another_living_replica_holds_is_not_begun_anew_here(
    server: Server, join: Callable[[str], Host]
) -> None:
    host = join("moved")
    replica = Replica("elsewhere", "1.0", newest(), "all")

    def home() -> str | None:
        known = server.service.store.read_now(lambda tx: scopes.get(tx, host.scope))
        return known.home if known else None

    assert host.begin().status_code == 200
    settled(server)
    server.service.store.write_now(lambda tx: scopes.make_home(tx, host.scope, replica.name))
    assert host.poll(session="elsewhere's").status_code == 200, "one that does not live holds nothing"
    settled(server)
    assert home() != replica.name, "this one takes the host over"
    server.service.store.write_now(lambda tx: presence.be_heard(tx, replica))
    server.service.store.write_now(lambda tx: scopes.make_home(tx, host.scope, replica.name))
    answer = host.poll(session="elsewhere's")
    assert (answer.status_code, answer.headers["connection"]) == (421, "close")
    assert host.begin().status_code == 200, "who asks for a session gets one"


def test_a_poll_that_gives_way_to_others_counts_from_when_it_came(
    server: Server, join: Callable[[str], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what its reply opens would end too early by as much."""
    host = join("patient")
    host.begin()
    here: list[float] = []

    async def give_way(_patience: float) -> None:
        here.append(server.clock.elapsed())
        await asyncio.sleep(0.05)

    monkeypatch.setattr(server.reconciler._claim, "calm", give_way)
    assert polls.decode_reply(host.poll().content).received <= here[0]
