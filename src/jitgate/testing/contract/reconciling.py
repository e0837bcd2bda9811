"""Does with a connector what the reconciler does: one scope, no database, and nobody who agrees to anything."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from jitgate.connectors.base import Memory, Outcome, Pending, Plan, Report
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection
from jitgate.core.desired import Protocol as IpProtocol
from jitgate.core.machine import Machine
from jitgate.core.prefixes import canonical
from jitgate.testing.contract.stage import Stage

TCP = IpProtocol.TCP
_PART_OF_A_SECOND = timedelta(microseconds=1234)
MOST_ROUNDS = 100
"""How often "not yet" is taken for an answer."""


class Reconciling:
    """Begins with a look for the machine. Each call has a later generation, and what the last one kept."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._memory: Memory = {}
        self.generation = 0
        self.machine = self.look()
        # No end falls on a whole second, which is as much as many a firewall can write down.
        stage.clock.advance(_PART_OF_A_SECOND)

    def look(self) -> Machine:
        """Find the machine, as every process does when it begins."""
        found = self._stage.run(self._stage.connector.discover())
        named = [machine for machine in found if machine.name == self._stage.machine]
        assert len(named) == 1, f"discover tells one machine {self._stage.machine}, not {len(named)}"
        return named[0]

    def restart(self) -> None:
        """Go on with a process that knows nothing but what is in the database."""
        self._stage.restart()
        self.machine = self.look()

    def key(self, source: str, port: int | None = None, protocol: IpProtocol = TCP) -> AccessKey:
        """The key of a source, for the machine's first port or another."""
        return AccessKey(self.machine.uuid, port or self._stage.ports[0], protocol, canonical(source))

    def end(self, hours: float) -> datetime:
        """The time after so many of the stage's hours."""
        return self._stage.clock.wall() + hours * self._stage.hour

    def wanted(
        self,
        access: Mapping[AccessKey, datetime | None],
        *,
        ports: Iterable[int] | None = None,
        complete: bool = True,
        generation: int | None = None,
    ) -> Desired:
        """These ports are protected (else the first), and this is open. A part says nothing of ports, but of keys."""
        self.generation = self.generation + 1 if generation is None else generation
        uuid = self.machine.uuid
        numbers = self._stage.ports[:1] if ports is None else ports
        protected = {
            PortKey(uuid, port, each): Protection() for port in numbers for each in self._stage.protocols if complete
        }
        machines = frozenset({uuid} if protected else ())
        now = self._stage.clock.wall()
        return Desired(self.machine.scope, self.generation, now, machines, protected, dict(access), complete=complete)

    def plan(self, desired: Desired) -> Plan:
        """What is to be done, less what somebody would have to agree to."""
        planned = self._stage.run(self._stage.connector.plan(desired, self._memory))
        return replace(planned, alterations=(), waiting=planned.alterations)

    def have(self, desired: Desired) -> Report:
        """Have it stand, however often the firewall says "not yet"."""
        for _ in range(MOST_ROUNDS):
            outcome = self._apply(desired)
            if not isinstance(outcome, Pending):
                return outcome.report
            left = outcome.until - self._stage.clock.wall()
            self._stage.clock.advance(max(left, timedelta(0)))
        raise AssertionError(f"the firewall still says `Pending` after {MOST_ROUNDS} rounds")

    def _apply(self, desired: Desired) -> Outcome:
        outcome = self._stage.run(self._stage.connector.apply(self.plan(desired)))
        self._memory = outcome.memory
        return outcome
