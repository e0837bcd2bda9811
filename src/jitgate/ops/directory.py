"""The data directory: everything that an installation needs or makes.

::

    jitgate.toml        the settings                          jitgate.db    the records
    server.json         where the running server is           owner.token   the first principal's token
    agent/              what the agent keeps on each host     ca.pem …      certificates and keys
    lock                held while jitgate runs               replica       what this one is called among several
    signing.key         signs the tokens that last minutes    sign-in.url   a link for the owner's browser, good once
"""

import errno
import fcntl
import os
import secrets
import socket
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from jitgate import config
from jitgate.config import Config
from jitgate.config.gateways import Gateway
from jitgate.config.template import first_text
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.gateway import roster as gateways
from jitgate.connectors.gateway.roster import Place, Target
from jitgate.connectors.hosts import roster
from jitgate.connectors.hosts.roster import Host
from jitgate.core.errors import Conflict, Invalid
from jitgate.core.resource_id import key
from jitgate.trust.files import write_private

DATABASE = "JITGATE_DATABASE"
SHARED_KEYS = (
    "ca.key",
    "ca.pem",
    "ca-handover.pem",
    "link-root.key",
    "link-controller.key",
    "link-keys.json",
    "links.key",
    "record.key",
    "record.pub",
    "signing.key",
)
"""Files that replicas must have alike."""

NOTICE = timedelta(seconds=5)
_LEFTOVERS_MAY_TAKE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The paths in one data directory."""

    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "jitgate.toml"

    @property
    def server(self) -> Path:
        return self.path / "server.json"

    @property
    def sign_in(self) -> Path:
        return self.path / "sign-in.url"

    @property
    def agent(self) -> Path:
        return self.path / "agent"

    def database_url(self, settings: Config) -> str:
        """Where the records are: ``JITGATE_DATABASE``, else what the settings say, else a file."""
        return os.environ.get(DATABASE) or settings.store.url or f"sqlite:///{self.path / 'jitgate.db'}"


def is_shared(database: str) -> bool:
    """Whether several processes may work on the database of that URL: a server's, not a file."""
    return not database.startswith("sqlite")


def open_directory(path: Path) -> DataDirectory:
    """Make the directory if need be, for its owner alone. Raises Invalid."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise Invalid("--data-dir", f"{path}: {error.strerror}", allowed="a directory that you may write to") from error
    return DataDirectory(path.resolve())


def existing(path: Path) -> DataDirectory:
    """The directory of an installation that was started before. Raises Invalid."""
    found = DataDirectory(path.resolve())
    if not found.settings.exists():
        raise Invalid("--data-dir", f"{path} is none that jitgate has worked on", allowed="where jitgate.toml is")
    return found


def read_settings(directory: DataDirectory) -> Config:
    """The settings; at first start a file that shows them all is written. Raises Invalid."""
    if not directory.settings.exists():
        write_private(directory.settings, first_text().encode())
    return config.read(directory.settings, socket.gethostname())


def take_up_hosts(directory: DataDirectory, settings: Config) -> tuple[Host, ...]:
    """The hosts of the settings, for the agent to read. A host keeps its identity as long as it stays listed.

    Raises Invalid when the file that holds the identities is damaged.
    """
    known = _known_identities(directory.agent)
    hosts = tuple(
        Host(host.name, known.get(key(host.name)) or str(uuid4()), host.namespace, host.always_allow)
        for host in settings.hosts
    )
    roster.write(directory.agent, hosts)
    return hosts


def take_up_gateways(directory: DataDirectory, settings: Config) -> bool:
    """The gateways of the settings, for their process to read; whether there are any.

    A machine keeps its identity as long as it stays listed. Raises Invalid when the file that holds them is damaged.
    """
    known = _known_targets(directory.agent)
    places = [_place(gateway, known) for gateway in settings.gateways]
    if places or known:
        gateways.write(directory.agent, places)
    return bool(places)


def take_up(directory: DataDirectory, settings: Config) -> bool:
    """The hosts and gateways of the settings, for their processes; whether there are gateways. Raises Invalid."""
    take_up_hosts(directory, settings)
    return take_up_gateways(directory, settings)


def notice(directory: DataDirectory, settings: Config) -> timedelta:
    """How long a server that is told to end goes on: where others share its database, until a balancer has seen it."""
    if settings.server.drain_notice is not None:
        return settings.server.drain_notice
    return NOTICE if is_shared(directory.database_url(settings)) else timedelta()


def replica_name(directory: DataDirectory) -> str:
    """Who holds the leases that this directory's processes take. One process at a time works on the directory, so each
    takes up at once what one that was killed has left."""
    path = directory.path / "replica"
    if not path.exists():
        write_private(path, f"{socket.gethostname()}:{secrets.token_hex(8)}\n".encode())
    return path.read_text("utf-8").strip()


def lock(directory: DataDirectory) -> int:
    """Hold the directory: the descriptor keeps it as long as any process has it open.

    What a jitgate that was killed has left running is waited for. Raises Conflict if one is at work.
    """
    descriptor = os.open(directory.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    give_up = time.monotonic() + _LEFTOVERS_MAY_TAKE_SECONDS
    while not _try_to_lock(descriptor):
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        if time.monotonic() > give_up or (holder.isdigit() and _lives(int(holder))):
            os.close(descriptor)
            raise Conflict(
                f"Another jitgate (process {holder or 'unknown'}) works on {directory.path}. "
                "Stop it, or give this one another --data-dir."
            )
        time.sleep(0.05)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _place(gateway: Gateway, known: dict[str, str]) -> Place:
    targets = (Target(each.name, known.get(key(each.name)) or str(uuid4()), each.address) for each in gateway.machines)
    return Place(
        name=gateway.name,
        address=gateway.address,
        targets=tuple(targets),
        listen=gateway.listen or gateways.EVERYWHERE,
        ports=gateway.ports,
        probe_from=gateway.probe_from,
        most_connections=gateway.most_connections,
        most_per_source=gateway.most_per_source,
    )


def _known_targets(agent: Path) -> dict[str, str]:
    try:
        return {key(target.name): target.uuid for place in gateways.read(agent) for target in place.targets}
    except ConnectorError as error:
        raise Invalid("--data-dir", f"{error.message}; if you remove it, all open grants are closed") from None


def _known_identities(agent: Path) -> dict[str, str]:
    if not (agent / roster.FILE).exists():
        return {}
    try:
        return {key(host.name): host.uuid for host in roster.read(agent)}
    except ConnectorError as error:
        raise Invalid("--data-dir", f"{error.message}; if you remove it, all open grants are closed") from None


def _try_to_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True
