"""One host: its enforcer, and the thread that does what is asked of it, one thing after the other."""

import logging
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from jitgate.agent.generation import Generation
from jitgate.agent.records import Records
from jitgate.clock import Clock
from jitgate.connectors.base import ConnectorError, GenerationBehind, Report
from jitgate.connectors.hosts import netns, orders, releases
from jitgate.connectors.hosts.enforcer import Enforcer
from jitgate.connectors.hosts.messages import (
    MOST_ATTEMPTS,
    Answer,
    Applied,
    Apply,
    Attempts,
    Failed,
    Happened,
    HostFacts,
    Hosts,
    Kind,
)
from jitgate.connectors.hosts.roster import Host
from jitgate.failpoints import failpoint

_log = logging.getLogger("jitgate.agent")

Say = Callable[[Answer], None]


class Post:
    """Everything public returns at once, but `facts`."""

    def __init__(self, host: Host, directory: Path, clock: Clock, say: Say) -> None:
        self.host = host
        self._directory = directory
        self._clock = clock
        self._say = say
        self._records = Records(host, directory)
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._enforcer: Enforcer | None = None
        self._namespace: tuple[int, int] | None = None
        self._taking_up = threading.Lock()
        self._given_up = False
        self._last_facts = HostFacts(host.name, host.uuid)
        self._told_facts: HostFacts | None = None
        self._told_attempts = Attempts(host.scope, ())
        self._generation = Generation(directory) if host.joined_as else None

    @property
    def scope(self) -> str:
        """What desired states call this host."""
        return self.host.scope

    def machines(self) -> tuple[HostFacts, ...]:
        """The host itself."""
        return (self.facts(),)

    def start(self) -> None:
        """Take up the host, and from now on do what is asked."""
        threading.Thread(target=self._run, name=f"host-{self.host.name}", daemon=True).start()
        self._work.put(self._begin)

    def apply(self, request: Apply) -> None:
        """Have the host hold what is desired, and say what then stands."""
        self._work.put(lambda: self._apply(request))

    def reread(self) -> None:
        """Look whether somebody at the host gave an order."""
        self._work.put(self._look_at_orders)

    def settle(self, record: str) -> None:
        """A record need not be told again."""
        self._work.put(lambda: self._records.settle(record))

    def tell_again(self) -> None:
        """The server knows nothing of what was told before."""
        self._work.put(self._tell_everything)

    def look_around(self, *, thoroughly: bool) -> None:
        """Tell whom the host turned away, if that has changed and somebody may wait for it; `thoroughly`: in any case,
        and what the host is like."""
        self._work.put(lambda: self._tell_changes(thoroughly=thoroughly))

    def facts(self) -> HostFacts:
        """What the host tells about itself, or why its firewall cannot be held."""
        try:
            held = self._held()
        except (ConnectorError, OSError) as error:
            self._given_up = True
            return HostFacts(self.host.name, self.host.uuid, unsupported=str(error))
        self._given_up = False
        try:
            told = held.facts()
        except (ConnectorError, OSError) as error:
            # It is held all the same. Called unsupported, the server would have every port of it opened.
            _log.warning("%s: could not look around: %s", self.host.name, error)
            return self._last_facts
        self._last_facts = HostFacts(self.host.name, self.host.uuid, told.addresses, facts=told.as_json())
        return self._last_facts

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except (ConnectorError, OSError) as error:
                _log.error("%s: %s", self.host.name, error)

    def _begin(self) -> None:
        self._held()
        order = orders.standing(self._directory, self._clock.wall())
        if order is not None and order.release == (releases.standing(self._directory) is not None):
            # A former agent had it on record and died. Taking up the host has done the rest.
            orders.settle(self._directory)
        self._look_at_orders()

    def _apply(self, request: Apply) -> None:
        try:
            failpoint("agent.before_apply")
            held = self._held()
            if self._given_up:
                # What is desired was worked out for a host that protects nothing.
                raise ConnectorError("the host can be held again; the server has not been told yet")
            if self._generation is not None:
                self._generation.check(request.desired.generation)
            report = held.sync(request.desired, request.worked_out)
            if self._generation is not None:
                self._generation.keep(request.desired.generation)
            failpoint("agent.after_apply")
        except GenerationBehind as error:
            self._say(Failed(request.number, error.message, error.retry, error.current))
        except ConnectorError as error:
            self._say(Failed(request.number, error.message, error.retry))
        except Exception as error:  # noqa: BLE001 - an agent that dies of one host's trouble lets go of all others
            _log.exception("%s: could not apply", self.host.name)
            self._say(Failed(request.number, f"the agent failed: {type(error).__name__}: {error}"))
        else:
            self._say(Applied(request.number, report))

    def _held(self) -> Enforcer:
        """The enforcer; made anew where there was none, or where the namespace was. Raises ConnectorError, OSError."""
        with self._taking_up:
            if self._enforcer is not None and self._namespace == _identity(self.host.namespace):
                return self._enforcer
            again = self._enforcer is not None
            self._let_go()
            self._take_up()
            if again:
                self._tell(Kind.STARTED, "the network namespace was made anew")
            assert self._enforcer is not None
            return self._enforcer

    def _take_up(self) -> None:
        namespace = _identity(self.host.namespace)
        host = self.host
        made = Enforcer(
            host.scope, host.uuid, host.namespace, self._directory, self._clock, host.always_allow, self._on_change
        )
        failpoint("agent.before_take_up")
        report = made.start()
        failpoint("agent.after_take_up")
        self._enforcer, self._namespace = made, namespace
        self._on_change(report)

    def _let_go(self) -> None:
        if self._enforcer is not None:
            self._enforcer.close()
            self._enforcer = None

    def _look_at_orders(self) -> None:
        """Carry out what was ordered at the host. It is on record before it is done, and told afterwards."""
        order = orders.standing(self._directory, self._clock.wall())
        if order is not None:
            held = self._held()
            failpoint("agent.before_order")
            carry_out = held.release if order.release else held.protect_again
            carry_out(order.by, order.why)
            failpoint("agent.after_order")
            orders.settle(self._directory)
        self._tell_records()

    def _tell_records(self) -> None:
        for record in self._records.untold():
            self._say(record)

    def _tell_everything(self) -> None:
        self._told_facts, self._told_attempts = None, Attempts(self.host.scope, ())
        self._tell_changes(thoroughly=True)
        self._tell_records()

    def _tell_changes(self, *, thoroughly: bool) -> None:
        if thoroughly and self.host.joined_as and (facts := self.facts()) != self._told_facts:
            self._say(Hosts(0, (facts,)))
            self._told_facts = facts
        waited_for = self._enforcer is not None and self._enforcer.has_openings
        if (thoroughly or waited_for) and _sources(attempts := self._attempts()) != _sources(self._told_attempts):
            self._say(attempts)
            self._told_attempts = attempts

    def _attempts(self) -> Attempts:
        if self._enforcer is None:
            return Attempts(self.host.scope, ())
        return Attempts(self.host.scope, tuple(self._enforcer.refused_sources()[:MOST_ATTEMPTS]))

    def _on_change(self, report: Report) -> None:
        """What the enforcer found and put right by itself. Ends that came in time are no news to the server."""
        if report.repaired:
            self._tell(Kind.REPAIRED, "; ".join(report.repaired))

    def _tell(self, kind: Kind, detail: str) -> None:
        self._say(Happened(kind, self.host.scope, detail, self._clock.wall()))


def _sources(attempts: Attempts) -> frozenset[tuple[str, str, int]]:
    return frozenset((each.source, each.protocol, each.port) for each in attempts.refused)


def _identity(namespace: str | None) -> tuple[int, int] | None:
    """What tells a namespace from a later one of the same name. Raises ConnectorError."""
    if namespace is None:
        return None
    try:
        found = os.stat(netns.DIRECTORY / netns.check_name(namespace))
    except OSError:
        # Whoever tries to enter it says why not.
        return None
    return found.st_dev, found.st_ino
