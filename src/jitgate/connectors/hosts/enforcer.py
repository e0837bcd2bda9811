"""The enforcer: one namespace's firewall, made to hold what is desired and kept that way.

It runs inside the agent. What it is told goes into the kernel's table in one transaction; the kernel shuts each key at
its deadline by itself, so closing or killing this process neither opens nor shuts anything.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from jitgate.clock import Clock
from jitgate.connectors.base import Capabilities, ConnectorError, GenerationBehind, Plan, Report
from jitgate.connectors.hosts import boot, changes, facts, legacy, nf_tables, outranked, releases
from jitgate.connectors.hosts.changes import Difference, Now
from jitgate.connectors.hosts.facts import HostFacts
from jitgate.connectors.hosts.kernel import KernelTable
from jitgate.connectors.hosts.messages import Refused
from jitgate.connectors.hosts.mirror import Changes, Mirror
from jitgate.connectors.hosts.nft import Nft
from jitgate.connectors.hosts.published import Lookout
from jitgate.connectors.hosts.refused import read_refused
from jitgate.connectors.hosts.releases import Release
from jitgate.connectors.hosts.sessions import Sessions
from jitgate.connectors.hosts.table import BOOT_TABLE, TABLE, Ports, Purpose
from jitgate.connectors.hosts.watch import ANY_TABLE, Watch
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix

CAPABILITIES = Capabilities(ends_sessions=True, own_deadline=True)

_MACHINE = re.compile(r"[0-9A-Za-z-]{1,64}")
_CHECK_EVERY_SECONDS = 30.0
_SHORTEST_WAIT = 0.02
_KERNEL_IS_EARLY = 0.005
"""The kernel lets go of an element up to a few milliseconds before its time; waiting this much longer finds it gone."""


class Enforcer:
    """One namespace's firewall. Thread-safe.

    `scope`, `machine`  what desired states call this host: its scope, and the machine's UUID
    `namespace`         a named network namespace, or None for the one that the process runs in
    `state_dir`         where the boot ruleset and the record of releases are
    `always_allowed`    prefixes that reach every port whatever happens
    `on_change`         is told what changed by itself: a deadline, or another hand that was put right

    Everything raises ConnectorError.
    """

    def __init__(
        self,
        scope: str,
        machine: str,
        namespace: str | None,
        state_dir: Path,
        clock: Clock,
        always_allowed: tuple[Prefix, ...] = (),
        on_change: Callable[[Report], None] | None = None,
    ) -> None:
        if not _MACHINE.fullmatch(machine):
            raise ConnectorError(f"{machine[:64]!r} is not a machine's UUID", retry=False)
        self.scope, self.machine, self.namespace = scope, machine, namespace
        self._state_dir, self._clock, self._always, self._on_change = state_dir, clock, always_allowed, on_change
        self._lock = threading.RLock()
        self._mirror = Mirror()
        self._generation = 0
        self._wanted: Mapping[PortKey, Protection] = {}
        self._ports: Ports = {}
        self._unprotected: dict[PortKey, str] = {}
        self._release: Release | None = None
        self._outranked: list[str] = []
        self._whole = False
        self._was_read_back = False
        self._boot_file_is_old = False
        self._next_check = 0.0

    def start(self) -> Report:
        """Take over what stands in the kernel, with the time it has left, and watch over it from now on."""
        with self._exclusively(), ExitStack() as opened:
            self._kernel = KernelTable(self.namespace, self.machine, self._always, self._clock)
            opened.callback(self._kernel.close)
            self._lookout = Lookout(self.namespace, self._kernel.reader)
            self._sessions = Sessions(self.namespace, self.machine, self._always, self._mirror)
            opened.callback(self._sessions.close)
            link = opened.enter_context(nf_tables.watch(self.namespace, self._kernel.nft.port))
            self._release = releases.standing(self._state_dir)
            told = self._adopt() if self._release is None else self._open_everything()
            self._next_check = self._clock.elapsed() + _CHECK_EVERY_SECONDS
            self._watch = Watch(link, self._wait, self._attend, f"enforcer-{self.namespace or 'host'}")
            self._opened = opened.pop_all()
            return self._report((), told, whole=True)

    def close(self) -> None:
        """Stop watching. What stands in the kernel stays as it is, and ends when it must."""
        self._watch.close()
        with self._lock:
            self._opened.close()

    def plan(self, desired: Desired) -> Plan:
        """What `sync` would do. Changes nothing."""
        with self._exclusively():
            self._check(desired)
            now = Now(desired.at, self._clock.elapsed())
            found = changes.difference(desired, self.machine, self._mirror, now)
            wanted = changes.wanted_ports(desired, self.machine)
            return Plan(desired, changes.steps(found, self._mirror, self._ports, wanted))

    def sync(self, desired: Desired, worked_out: float) -> Report:
        """Make `desired` stand, in one transaction, and tell what stands. Safe to repeat.

        `worked_out`: when it was `desired.at` on the elapsed clock. All time since then is taken off the grants,
        whatever it was spent on. Nothing is gained by a value that is still to come.
        """
        with self._exclusively():
            self._check(desired)
            now = self._aged(desired.at, worked_out)
            # What the start has read back need not be read again; the watch tells of what has changed since.
            told = self._put_right(elements=not self._was_read_back) if desired.complete else []
            found = changes.difference(desired, self.machine, self._mirror, now)
            wanted = changes.wanted_ports(desired, self.machine)
            self._carry_out(found, self._wanted if wanted is None else wanted)
            cut = [key for key in desired.cut if key.machine == self.machine]
            self._sessions.end_for(found.closed, cut, self._ports)
            self._generation = desired.generation
            if desired.complete:
                self._take_stock(now)
            return self._report(desired.access, told, whole=desired.complete)

    def tick(self) -> None:
        """Attend to what has reached its deadline. The enforcer's own thread does this in time."""
        self._attend(frozenset())

    @property
    def has_openings(self) -> bool:
        """Whether any key stands open."""
        return bool(self._mirror.held(Purpose.OPEN))

    def refused_sources(self) -> list[Refused]:
        """Who was turned away in the last ten minutes, the latest first."""
        with self._exclusively():
            return read_refused(self._kernel.reader, self._clock.wall())

    def facts(self) -> HostFacts:
        """What the host tells about itself."""
        with self._exclusively():
            return replace(facts.gather(self.namespace), published=self._published())

    def release(self, by: str, why: str) -> Report:
        """Open everything, until `protect_again`, across restarts too. It is on record before it is done."""
        with self._exclusively():
            self._release = releases.record(self._state_dir, released=True, by=by, why=why, at=self._clock.wall())
            self._open_everything()
            return self._report((), [], whole=True)

    def protect_again(self, by: str, why: str) -> Report:
        """Protect what was last desired, and open what still has time."""
        with self._exclusively():
            releases.record(self._state_dir, released=False, by=by, why=why, at=self._clock.wall())
            self._release = None
            self._carry_out(Difference(), dict(self._wanted))
            return self._report((), [], whole=True)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Alone, and with one kind of error."""
        with self._lock:
            try:
                yield
            except OSError as error:
                raise ConnectorError(f"the host did not do what it was asked: {error}") from error

    # --- what follows runs under the lock ---

    def _check(self, desired: Desired) -> None:
        if desired.scope != self.scope:
            raise ConnectorError(f"this is scope {self.scope}, and not {desired.scope}", retry=False)
        if desired.generation < self._generation:
            raise GenerationBehind(self._generation)

    def _aged(self, at: datetime, worked_out: float) -> Now:
        elapsed = self._clock.elapsed()
        return Now(at + timedelta(seconds=max(0.0, elapsed - worked_out)), elapsed)

    def _adopt(self) -> list[str]:
        now = Now(self._clock.wall(), self._clock.elapsed())
        adopted = self._kernel.adopt()
        if adopted is None:
            return self._shut_as_at_boot()
        for purpose in Purpose:
            self._mirror.record(purpose, changes.with_time_left(adopted.elements.held[purpose], now))
        self._ports = adopted.ports
        self._wanted = {PortKey(self.machine, n, p): Protection(session) for (p, n), session in self._ports.items()}
        self._whole = self._was_read_back = True
        told = self._kernel.settle(adopted, self._ports, self._mirror)
        self._kernel.remove_boot_table()
        self._write_boot_file()
        self._sessions.end_on(_ending(self._ports))
        return told

    def _shut_as_at_boot(self) -> list[str]:
        """Nothing of ours stands: somebody removed it while no agent held it, or the machine has just started. Until
        the server tells the whole truth, which it may be too far away for, what was protected last is shut."""
        if self._kernel.shut_at_boot():
            return []
        try:
            if ruleset := boot.read(self._state_dir):
                self._kernel.nft.run([ruleset])
        except (ConnectorError, OSError) as error:
            return [f"the table was gone, and {boot.FILE}, which would shut its ports, could not be loaded: {error}"]
        if not self._kernel.shut_at_boot():
            return []
        return ["the table was gone; its ports are shut until the server tells what may be open"]

    def _open_everything(self) -> list[str]:
        self._ports = {}
        self._unprotected = {key: str(self._release) for key in self._wanted}
        self._write_boot_file()
        self._kernel.remove()
        self._kernel.remove_boot_table()
        return []

    def _carry_out(self, found: Difference, wanted: Mapping[PortKey, Protection]) -> None:
        """The kernel first; what is remembered follows only if it did."""
        before = self._ports
        ports, unprotected = self._choose_ports(wanted, found.open)
        earliest = self._mirror.next_deadline()
        for each in found.batches():
            self._change(each, ports)
        self._wanted, self._unprotected = wanted, unprotected
        if self._mirror.next_deadline() != earliest:
            self._watch.wake()
        if ports != before:
            self._boot_file_is_old = True
            # Who is connected to a port that is protected only now is cut off, by force, however its sessions end.
            self._sessions.end_on((ports.keys() - before.keys()) | (_ending(ports) - _ending(before)))
            self._outranked = self._look_around()
        if self._boot_file_is_old:
            self._write_boot_file()

    def _change(self, found: Difference, ports: Ports) -> None:
        """One transaction, and the memory of it."""
        needed = found or ports or self._holds_anything()
        if self._release is None and (needed or self._kernel.stands):
            if not self._kernel.stands:
                self._kernel.build({}, self._mirror)
            self._change_kernel(found, None if ports == self._ports else ports)
        self._ports = ports
        for purpose in Purpose:
            self._mirror.record(purpose, found.of(purpose))

    def _choose_ports(self, wanted: Mapping[PortKey, Protection], opening: Changes) -> tuple[Ports, dict[PortKey, str]]:
        """Which of the wanted ports can be protected without cutting off somebody, and why the others are not."""
        if self._release is not None:
            return {}, {key: str(self._release) for key in wanted}
        if wanted is self._wanted or (wanted == self._wanted and not self._unprotected):
            return self._ports, self._unprotected
        ports, unprotected = {}, {}
        # Whoever is connected to a port that the boot table shuts is cut off already: it must not open for their sake.
        shut = self._ports.keys() | self._kernel.shut_at_boot().keys()
        for key, protection in wanted.items():
            port = (key.protocol, key.port)
            if port not in shut and not protection.force and (reason := self._sessions.lock_out(key, opening)):
                unprotected[key] = reason
            else:
                ports[port] = protection.session
        return ports, unprotected

    def _change_kernel(self, found: Difference, ports: Ports | None) -> None:
        try:
            self._kernel.change(found, ports, self._mirror)
        except ConnectorError:
            # The usual reason is another hand, seen here before the watch told of it. Then it can be mended.
            if not self._kernel.put_right(self._ports, self._mirror, elements=False):
                raise
            self._kernel.change(found, ports, self._mirror)

    def _take_stock(self, now: Now) -> None:
        """After a complete state: what is left over goes."""
        self._whole, self._was_read_back = True, False
        self._mirror.forget_ended(now.wall)
        self._outranked = self._look_around()
        if self._release is None:
            self._kernel.remove_boot_table()
            if self._kernel.stands and not (self._ports or self._holds_anything()):
                self._kernel.remove()

    def _holds_anything(self) -> bool:
        return any(self._mirror.held(purpose) for purpose in Purpose)

    def _write_boot_file(self) -> None:
        boot.write(self._state_dir, boot.render(self._ports, self._always))
        self._boot_file_is_old = False

    def _look_around(self) -> list[str]:
        if not self._ports:
            return []
        # A context of its own: listing leaves libnftables a cache that makes the next change slow.
        try:
            elsewhere = self._lookout.now()
            local = [port for port in self._ports if not any(each.covers(*port) for each in elsewhere)]
            with closing(Nft(self.namespace)) as asking:
                return outranked.blocked(asking, self._kernel.reader, local) + legacy.unread(self.namespace, "filter")
        except ConnectorError as error:
            return [f"the host's own firewall could not be read, so it is not known what it denies: {error.message}"]

    def _published(self) -> tuple[str, ...]:
        try:
            return (*map(str, self._lookout.now()), *legacy.unread(self.namespace, "nat"))
        except ConnectorError as error:
            return (f"not known, as the host's own firewall could not be read: {error.message}",)

    def _put_right(self, *, elements: bool) -> list[str]:
        if self._release is not None or not self._kernel.stands:
            return []
        return self._kernel.put_right(self._ports, self._mirror, elements=elements)

    def _report(self, asked: Iterable[AccessKey], told: Sequence[str], *, whole: bool) -> Report:
        held = self._mirror.held(Purpose.OPEN)
        shown = held if whole else [key for key in asked if key in held]
        return Report(
            scope=self.scope,
            generation=self._generation,
            standing={key: held[key].end for key in shown},
            shut=frozenset(key for key in asked if key not in held),
            protected={key: self._unprotected.get(key, "") for key in self._wanted},
            capabilities=CAPABILITIES,
            repaired=tuple(told),
            outranked=tuple(self._outranked),
            complete=whole,
        )

    # --- the watching thread ---

    def _wait(self) -> float:
        with self._lock:
            due = self._mirror.next_deadline()
            until = self._next_check if due is None else min(self._next_check, due + _KERNEL_IS_EARLY)
            return max(_SHORTEST_WAIT, until - self._clock.elapsed())

    def _attend(self, changed: frozenset[str]) -> None:
        with self._exclusively():
            told = self._undo(changed)
            ended = self._end_due()
            report = self._report(ended, told, whole=False)
        if self._on_change and (told or ended):
            self._on_change(report)

    def _undo(self, changed: frozenset[str]) -> list[str]:
        """Put right what another hand did; now and then look whether one did unnoticed."""
        if changed & {BOOT_TABLE, *ANY_TABLE} and self._whole and self._kernel.stands:
            self._kernel.remove_boot_table()
        if changed & {TABLE, *ANY_TABLE}:
            return self._put_right(elements=True)
        if self._clock.elapsed() < self._next_check:
            return []
        self._next_check = self._clock.elapsed() + _CHECK_EVERY_SECONDS
        return self._put_right(elements=False)

    def _end_due(self) -> list[AccessKey]:
        """What has reached its deadline is gone from the kernel by itself; from the mirror, and its sessions, here."""
        due = self._mirror.due(self._clock.elapsed())
        over = Difference(*(dict.fromkeys(due[purpose]) for purpose in Purpose))
        try:
            # The kernel's clock stops while the machine sleeps, so that something may still stand.
            for each in over.batches():
                self._change(each, self._ports)
        except (ConnectorError, OSError):
            for purpose in Purpose:
                self._mirror.put_back(purpose, over.of(purpose))
            raise
        self._sessions.end_for(over.open, (), self._ports)
        return list(over.open)


def _ending(ports: Ports) -> set[tuple[Protocol, int]]:
    """The ports whose sessions end with their grant."""
    return {port for port, session in ports.items() if session is SessionEnd.END}
