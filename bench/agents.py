"""``python -m bench.agents DIRECTORY FIRST COUNT``: so many agents in one process, each with a connection of its own.

They speak the real protocol, and check what they are told as agents do; only their firewalls are made up. For each
state that one of them takes over it prints a line: its number, when (CLOCK_BOOTTIME), the protected ports, the open
keys.
"""

import asyncio
import json
import os
import random
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from bench.members import Member
from jitgate.clock import SystemClock
from jitgate.connectors.base import Capabilities, Report
from jitgate.connectors.hosts import polls, proofs
from jitgate.connectors.hosts.messages import Answer, Applied, Apply, HostFacts, Hosts, Request
from jitgate.connectors.hosts.polls import Outbox, Poll, Reply
from jitgate.core.desired import Desired
from jitgate.trust import signatures
from jitgate.trust.keyset import KeySet, SignedKeys

_AT_ONCE = 32
_PAUSE = 2.0
_FACTS = {"os": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0", "listening": [22, 3389], "firewalls": []}


class Server:
    """Where it is, and whose word counts: as a host keeps it."""

    def __init__(self, directory: Path) -> None:
        self.port = urlsplit(str(json.loads((directory / "server.json").read_text())["url"])).port
        told = json.loads((directory / "link-keys.json").read_bytes())
        self.keys: KeySet = SignedKeys(told["body"], told["signature"]).opened(told["root"])
        self.context = ssl.create_default_context(cadata=self.keys.authorities)
        self.clock = SystemClock()
        # Not all connect at the same moment; a server that is started anew is found again little by little.
        self.turnstile = asyncio.Semaphore(_AT_ONCE)


class Agent:
    """One host's agent. `live` never returns."""

    def __init__(self, server: Server, member: Member) -> None:
        self._server = server
        self._member = member
        self._uuid, self._scope, self._key = member.uuid, member.scope, member.key
        self._session, self._turn, self._heard = "", 0, 0
        self._outbox: Outbox[Answer] = Outbox()

    async def live(self) -> None:
        """Poll, and connect anew whenever that fails."""
        while True:
            try:
                await self._connected()
            except (OSError, EOFError, signatures.Forged, ValueError) as error:
                print(f"{self._member.name}: {error!r}", file=sys.stderr, flush=True)
            await asyncio.sleep(random.uniform(0, _PAUSE))

    async def _connected(self) -> None:
        async with self._server.turnstile:
            incoming, outgoing = await asyncio.open_connection(
                "127.0.0.1", self._server.port, ssl=self._server.context, server_hostname="localhost"
            )
            await self._turn_once(incoming, outgoing)
        try:
            while True:
                await self._turn_once(incoming, outgoing)
        finally:
            outgoing.close()

    async def _turn_once(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        self._turn += 1
        nonce = signatures.encode(os.urandom(16))
        epoch = self._server.keys.epoch
        said = self._outbox.unheard()
        body = polls.encode_poll(Poll(self._uuid, self._session, self._turn, nonce, self._heard, epoch, said))
        outgoing.write(self._request(body))
        signature, answer = await _answer(incoming)
        signatures.verify(self._server.keys.controllers[0], polls.REPLY, answer, signature)
        reply = polls.decode_reply(answer)
        if reply.nonce != nonce:
            raise signatures.Forged("the reply is to another poll")
        for request in self._new(reply):
            self._carry_out(request)

    def _request(self, body: bytes) -> bytes:
        signed = self._key.sign(polls.POLL, body)
        return (
            f"POST /agents/v1/poll HTTP/1.1\r\nHost: localhost:{self._server.port}\r\nAccept-Encoding: identity\r\n"
            f"Content-Type: application/json\r\nAuthorization: Agent {self._uuid} {signed}\r\n"
            f"Jitgate-Session: {self._session}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def _new(self, reply: Reply) -> list[Request]:
        if reply.session != self._session:
            self._session, self._turn, self._heard = reply.session, 0, 0
            self._outbox.restart(lambda _: False)
            facts = HostFacts(self._member.name, self._uuid, ("192.0.2.1",), facts=_FACTS)
            self._outbox.add(Hosts(0, (facts,)))
        self._outbox.heard(reply.heard)
        new = reply.said.after(self._heard)
        self._heard = max(self._heard, reply.said.last)
        return new

    def _carry_out(self, request: Request) -> None:
        if isinstance(request, Apply):
            desired = request.desired
            print(self._member.number, self._server.clock.elapsed(), len(desired.protected), len(desired.access))
            report = proofs.sign(_report(desired), self._key, self._server.clock.wall())
            self._outbox.add(Applied(request.number, report))


async def _answer(incoming: asyncio.StreamReader) -> tuple[str, bytes]:
    """The signature and the body. Raises ConnectionError for anything but success, EOFError."""
    head = (await incoming.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    body = await incoming.readexactly(int(headers["content-length"]))
    if " 200 " not in head[0]:
        raise ConnectionError(f"{head[0]}: {body[:200]!r}")
    return headers["jitgate-signature"], body


def _report(desired: Desired) -> Report:
    """What a firewall says that does all that it is asked to."""
    return Report(
        scope=desired.scope,
        generation=desired.generation,
        standing={key: end for key, end in desired.access.items() if end is not None},
        shut=frozenset(key for key, end in desired.access.items() if end is None),
        protected=dict.fromkeys(desired.protected, ""),
        capabilities=Capabilities(ends_sessions=True, own_deadline=True),
        complete=desired.complete,
    )


async def _live(directory: Path, first: int, count: int) -> None:
    server = Server(directory)
    await asyncio.gather(*(Agent(server, Member(number)).live() for number in range(first, first + count)))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
        runner.run(_live(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
