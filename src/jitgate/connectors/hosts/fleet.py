"""Hosts elsewhere, as a connector: their agents dial out, and poll for what is asked of them."""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from jitgate.clock import Clock
from jitgate.connectors.base import Connection, ConnectorError, Done, Memory, Outcome, Pending, Plan, Report
from jitgate.connectors.hosts import proofs, wire
from jitgate.connectors.hosts.asking import PATIENCE_SECONDS, Asking, order
from jitgate.connectors.hosts.asking import Reply as Answered
from jitgate.connectors.hosts.connector import Listener
from jitgate.connectors.hosts.line import LARGEST_OF_STRANGERS, Line, Member
from jitgate.connectors.hosts.messages import (
    Answer,
    Apply,
    Attempts,
    Happened,
    HostFacts,
    Hosts,
    Kind,
    Settled,
)
from jitgate.connectors.hosts.polls import Poll, Reply, Said
from jitgate.connectors.hosts.wire import Malformed
from jitgate.connectors.steps import steps
from jitgate.core.desired import Desired
from jitgate.core.errors import Unavailable
from jitgate.core.machine import FLEET, SILENT_AFTER, Machine
from jitgate.trust.signatures import Forged

_MOST_UNTOLD = 100
_LARGEST_FACTS = 64 << 10
_MOST_ADDRESSES = 64
_MOST_BEHIND = 1000
"""Machines behind one gateway."""
_MOST_WORDS, _LONGEST_WORDS = 20, 500
"""Of what a host tells people in a report."""

_LET_GO_AT_ONCE, _LET_GO_EVERY_SECONDS = 200, 0.05
"""Ten thousand agents are let go in 2.5 seconds: each connects anew, which costs a handshake of TLS."""

_THEIRS = frozenset(Kind) - {Kind.CONNECTED, Kind.ANSWERED, Kind.DOUBLED}
"""What an agent may say has happened; the rest is for the server to conclude."""

_log = logging.getLogger(__name__)

Told = Happened | Attempts | Hosts
"""What is passed on to the listener."""


class Fleet:
    """All hosts and gateways that have joined. For one event loop. `listener` is told what each says, in its order."""

    name = FLEET
    whole_ports = False

    def __init__(self, clock: Clock, listener: Listener, patience: float = PATIENCE_SECONDS) -> None:
        self._clock = clock
        self._listener = listener
        self._patience = patience
        self._asking = Asking()
        self._lines: dict[str, Line] = {}
        self._scopes: dict[str, str] = {}
        self._untold: dict[Line, deque[Told]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._heard: dict[str, float] = {}

    # --- what agents do -------------------------------------------------------------------------------

    def largest(self, uuid: str, session: str) -> int:
        """How many bytes a poll of a host may have: only the host and this server know the session's name."""
        line = self._lines.get(self._scopes.get(uuid, ""))
        return LARGEST_OF_STRANGERS if line is None else line.largest(session)

    def is_in(self, scope: str, session: str) -> bool:
        """Whether this is the session of a host that is under way here."""
        line = self._lines.get(scope)
        return line is not None and line.is_in(session)

    async def poll(self, member: Member, poll: Poll, hold: float, received: float) -> Reply:
        """Take in what an agent says, whose signature has been seen to be its own, and answer when there is something.

        `received`: when it came, on the elapsed clock. Raises Forged for a poll that came before, Unavailable for one
        session after the other.
        """
        line = self._line(member)
        line.heard_at = received
        self._heard[member.uuid] = received
        if not line.is_in(poll.session):
            return self._begin(line, poll, received)
        for answer in line.hear(poll):
            self._hear(line, answer)
        heard = line.heard
        said = await line.unheard(hold)
        return Reply(member.uuid, poll.session, poll.nonce, heard, received, said)

    def heard(self) -> Mapping[str, timedelta]:
        """Which hosts have polled since this was last asked, and how long ago: clocks that are set, or another
        replica's, say nothing of that."""
        found, self._heard = self._heard, {}
        now = self._clock.elapsed()
        return {uuid: timedelta(seconds=now - at) for uuid, at in found.items()}

    def forget(self, scope: str, uuid: str) -> None:
        """A host is no longer a member. Does nothing for one that never was: its name may be another's."""
        line = self._lines.get(scope)
        if line is not None and line.member.uuid == uuid:
            del self._lines[scope], self._scopes[uuid]
            self._asking.fail(line, "the host was removed")
            line.begin()

    # --- what the reconciler does ---------------------------------------------------------------------

    async def discover(self) -> Sequence[Machine]:
        """None: hosts are known because they joined, and tell of themselves."""
        return ()

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        """What it takes to make `desired` stand."""
        del memory  # The agent knows for itself what stands.
        return Plan(desired, steps(desired))

    async def apply(self, plan: Plan) -> Outcome:
        """Have the host's agent make it stand. Raises ConnectorError, GenerationBehind."""
        line = self._speaking(plan.scope)

        async def ask(request: Callable[[int], Apply], patience: float) -> Answered:
            async def say(number: int) -> None:
                line.say(request(number))

            return await self._asking.ask(line, plan.scope, say, patience)

        stands = await order(plan.desired, self._clock, self._patience, ask)
        if isinstance(stands, Pending):
            return stands
        return Done(_proven(_own(stands, line.member), line.member))

    async def let_go(self) -> None:
        """Have all polls answered, some at a time: all agents then connect anew."""
        lines = list(self._lines.values())
        for first in range(0, len(lines), _LET_GO_AT_ONCE):
            for line in lines[first : first + _LET_GO_AT_ONCE]:
                line.let_go()
            await asyncio.sleep(_LET_GO_EVERY_SECONDS)

    async def close(self) -> None:
        """Let all polls end, and nothing more be passed on."""
        for line in self._lines.values():
            self._asking.fail(line, "the server is stopping")
            line.begin()
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    # --- lines ----------------------------------------------------------------------------------------

    def _line(self, member: Member) -> Line:
        line = self._lines.get(member.scope)
        if line is None or line.member != member:
            if line is not None:
                self.forget(member.scope, line.member.uuid)
            line = self._lines[member.scope] = Line(member)
            self._scopes[member.uuid] = member.scope
        return line

    def _speaking(self, scope: str) -> Line:
        line = self._lines.get(scope)
        if line is None:
            raise ConnectorError("the host's agent has not connected yet; what stands there ends at its deadline")
        silent = self._clock.elapsed() - line.heard_at
        if silent > SILENT_AFTER.total_seconds():
            raise ConnectorError(
                f"the host's agent has been silent for {silent:.0f} s; what stands there ends at its deadline"
            )
        return line

    def _begin(self, line: Line, poll: Poll, received: float) -> Reply:
        if not line.may_begin.take(received):
            raise Unavailable("Too many sessions of this host begin; do two agents use its key? Try again in a moment.")
        now = self._clock.wall()
        if poll.session and poll.session == line.former and line.may_alarm.take(received):
            # Its session was taken from it by another agent that signs with the same key.
            self._tell(line, Happened(Kind.DOUBLED, line.member.scope, "two agents use this host's key", now))
        self._asking.fail(line, "the host's agent has connected anew; this is tried again")
        line.begin()
        self._tell(line, Happened(Kind.CONNECTED, line.member.scope, "the agent is connected", now))
        return Reply(line.member.uuid, line.session, poll.nonce, 0, received, Said())

    # --- listening ------------------------------------------------------------------------------------

    def _hear(self, line: Line, answer: Answer) -> None:
        if isinstance(answer, (Happened, Attempts)):
            if _is_own(answer, line.member) and line.may_tell.take(self._clock.elapsed()):
                self._tell(line, answer)
        elif isinstance(answer, Hosts) and answer.number == 0:
            if line.may_tell.take(self._clock.elapsed()):
                self._tell(line, _about(answer, line.member))
        elif scope := self._asking.hear(line, answer):
            late = "the agent answered after nobody waited any more"
            self._tell(line, Happened(Kind.ANSWERED, scope, late, self._clock.wall()))

    def _tell(self, line: Line, said: Told) -> None:
        if (untold := self._untold.get(line)) is not None:
            if len(untold) < _MOST_UNTOLD:
                untold.append(said)
            return
        self._untold[line] = deque([said])
        task = asyncio.create_task(self._tell_all(line))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_all(self, line: Line) -> None:
        untold = self._untold[line]
        try:
            while untold:
                await self._pass_on(line, untold.popleft())
        finally:
            del self._untold[line]

    async def _pass_on(self, line: Line, said: Told) -> None:
        scope = line.member.scope
        try:
            if isinstance(said, Hosts) and line.member.place:
                await self._listener.behind(scope, said.hosts)
            elif isinstance(said, Hosts):
                for facts in said.hosts:
                    await self._listener.facts(scope, replace(facts, uuid=line.member.uuid))
            elif isinstance(said, Attempts):
                await self._listener.attempts(said)
            else:
                await self._listener.happened(said)
                if said.record:
                    line.say(Settled(said.record))
        except (ConnectorError, OSError) as error:
            # What has a record is told again in the next session; the rest a sweep finds.
            _log.warning("what %s told could not be passed on: %s", scope, error)


def _is_own(said: Happened | Attempts, member: Member) -> bool:
    """Whether it speaks of the host that says it, and of what an agent can know."""
    if said.scope != member.scope:
        return False
    return isinstance(said, Attempts) or (
        said.kind in _THEIRS and (not said.record or said.record.startswith(f"{member.uuid}:"))
    )


def _about(told: Hosts, member: Member) -> Hosts:
    """What a host tells of itself, or a gateway of itself and of what is behind it; no more than fits."""
    most = 1 + _MOST_BEHIND if member.place else 1
    small = [each for each in told.hosts[:most] if len(json.dumps(dict(each.facts))) <= _LARGEST_FACTS]
    return Hosts(0, tuple(replace(each, addresses=_addresses(each)) for each in small))


def _addresses(facts: HostFacts) -> tuple[str, ...]:
    """What of the addresses is an address: people, and their programs, connect to it."""
    found = []
    for told in facts.addresses[: 2 * _MOST_ADDRESSES]:
        with contextlib.suppress(Malformed):
            found.append(wire.address(told))
    return tuple(found[:_MOST_ADDRESSES])


def _own(report: Report, member: Member) -> Report:
    """The report, with what may be said: by a host about itself; by a gateway which ports are mapped; by neither where
    people are to connect to."""
    is_own = {key: why for key, why in report.protected.items() if member.place or key.machine == member.uuid}
    mapped = report.connections.items() if member.place else ()
    return replace(
        report,
        connections={machine: Connection(member.place, found.mapped_ports) for machine, found in mapped},
        protected={key: why[:_LONGEST_WORDS] for key, why in is_own.items()},
        repaired=_few(report.repaired),
        outranked=_few(report.outranked),
    )


def _few(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text[:_LONGEST_WORDS] for text in texts[:_MOST_WORDS])


def _proven(report: Report, member: Member) -> Report:
    """The report, with its proof only if that is one."""
    try:
        proofs.check(report, member.key)
    except Forged as error:
        _log.warning("%s: %s", member.scope, error)
        return replace(report, proof=None)
    return report
