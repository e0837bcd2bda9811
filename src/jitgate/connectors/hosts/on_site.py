"""Releasing this machine's hosts from protection, protecting them again, and what stands: all without a server.

An order goes to the agent. If there is none, or it does not do as it is told, it is stopped and the order carried out
here; no other agent can begin meanwhile, because the lock that it waits for is held.
"""

import contextlib
import os
import pwd
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jitgate.clock import Clock
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import boot, observe, orders, releases, roster
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.nft import Nft
from jitgate.connectors.hosts.orders import Order
from jitgate.connectors.hosts.releases import Release
from jitgate.connectors.hosts.roster import Host
from jitgate.connectors.hosts.table import BOOT_TABLE, TABLE, Purpose
from jitgate.core.desired import AccessKey, Protocol, SessionEnd
from jitgate.core.errors import NotFound, Unavailable
from jitgate.core.resource_id import key
from jitgate.failpoints import failpoint

AGENT_MAY_TAKE_SECONDS = 5.0
_STOPPING_MAY_TAKE_SECONDS = 5.0
_LOOK_EVERY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Opening:
    """A key that stands, until when (UTC), and the seconds that the kernel gives it."""

    key: AccessKey
    end: datetime
    left: float


@dataclass(frozen=True, slots=True)
class Status:
    """How one host is held. `error`: "" or why it cannot be told."""

    host: Host
    agent: int | None
    release: Release | None = None
    ports: tuple[tuple[Protocol, int, SessionEnd], ...] = ()
    openings: tuple[Opening, ...] = ()
    error: str = ""


def find(agent: Path, name: str | None) -> tuple[Host, ...]:
    """The host of that name, or all of them. Raises NotFound, Unavailable."""
    try:
        hosts = roster.read(agent)
    except ConnectorError as error:
        raise Unavailable(error.message) from None
    found = tuple(host for host in hosts if name is None or key(host.name) == key(name))
    if not found:
        raise NotFound(f"There is no host {name!r}; there are: {', '.join(host.name for host in hosts)}.")
    return found


def order(agent: Path, host: Host, given: Order, clock: Clock) -> bool:
    """Carry out an order; False if that has to wait for the next agent, as protecting again does.

    Raises Unavailable where the right is lacking.
    """
    directory = host.directory(agent)
    try:
        orders.give(directory, given)
        failpoint("host.order.given")
        if _agent_does(agent, directory):
            return True
        return _do(agent, host, given, clock)
    except PermissionError as error:
        raise Unavailable(f"This needs the rights that the agent has: run it as root ({error}).") from None
    except (ConnectorError, OSError) as error:
        raise Unavailable(f"{host.name}: {error}") from None


def status(agent: Path, host: Host, clock: Clock) -> Status:
    """What stands in the kernel, read from there."""
    pid = roster.running_pid(agent)
    try:
        release = releases.standing(host.directory(agent))
        with _reading(host) as reader:
            shape = observe.read_structure(reader)
            now = clock.elapsed()
            held = observe.read_elements(reader, observe.slots_in(shape.sets), host.uuid, now).held[Purpose.OPEN]
    except (ConnectorError, OSError) as error:
        return Status(host, pid, error=str(error))
    openings = tuple(Opening(each, until.end, until.deadline - now) for each, until in sorted(held.items()))
    ports = tuple((protocol, port, session) for (protocol, port), session in sorted(shape.ports.items()))
    return Status(host, pid, release, ports, openings)


def who() -> str:
    """Who is at the keyboard, as far as can be told: the user, and whoever became that user by sudo."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    behind = os.environ.get("SUDO_USER", "")
    return f"{user} (sudo by {behind})" if behind else user


def _agent_does(agent: Path, directory: Path) -> bool:
    """Have a running agent look; whether it did as it was told."""
    pid = roster.running_pid(agent)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)
    if _wait_until_settled(directory, AGENT_MAY_TAKE_SECONDS):
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return False


def _do(agent: Path, host: Host, given: Order, clock: Clock) -> bool:
    """Carry it out in place of an agent, unless the next one is faster."""
    directory = host.directory(agent)
    give_up = time.monotonic() + _STOPPING_MAY_TAKE_SECONDS
    while (lock := roster.hold_pid(agent, wait=False)) is None:
        if _wait_until_settled(directory, _LOOK_EVERY_SECONDS):
            return True
        if time.monotonic() > give_up:
            raise ConnectorError("the agent neither does as it is told nor ends; stop jitgate, and try again")
    try:
        if orders.standing(directory, clock.wall()) is None:
            return True
        if given.release:
            _open(host, directory, given, clock)
        else:
            releases.record(directory, released=False, by=given.by, why=given.why, at=clock.wall())
        orders.settle(directory)
        return given.release
    finally:
        os.close(lock)


def _open(host: Host, directory: Path, given: Order, clock: Clock) -> None:
    """On record first; then the file that boot would load, and what stands."""
    releases.record(directory, released=True, by=given.by, why=given.why, at=clock.wall())
    boot.write(directory, boot.render({}, ()))
    failpoint("host.release.before_opening")
    with _reading(host) as reader:
        standing = reader.tables() & {TABLE, BOOT_TABLE}
    nft = Nft(host.namespace)
    try:
        nft.run([f"delete table inet {name}" for name in sorted(standing)])
    finally:
        nft.close()


def _wait_until_settled(directory: Path, seconds: float) -> bool:
    give_up = time.monotonic() + seconds
    while (directory / orders.FILE).exists():
        if time.monotonic() > give_up:
            return False
        time.sleep(_LOOK_EVERY_SECONDS)
    return True


@contextlib.contextmanager
def _reading(host: Host) -> Iterator[Reader]:
    reader = Reader(host.namespace)
    try:
        yield reader
    finally:
        reader.close()
