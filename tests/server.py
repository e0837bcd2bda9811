"""A whole jitgate on loopback: TLS, service, SQLite, reconciler, and a firewall in memory.

    with Server(tmp_path) as server:
        with server.client() as client:
            client.get("/api/v1/whoami")

The server runs in a thread of its own with a loop of its own; `server.call(coroutine)` runs something there.
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import NAMESPACE_URL, uuid4, uuid5

import httpx
import structlog
import uvicorn
import uvloop
from sqlalchemy import Select, Table, select
from tests.sqlite import put_empty

from jitgate.audit.sealer import Sealer
from jitgate.clock import Clock, SystemClock
from jitgate.connectors.base import Connector
from jitgate.connectors.hosts.fleet import Fleet
from jitgate.connectors.memory import MemoryConnector
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.prefixes import Network
from jitgate.core.resource_id import machine_id
from jitgate.identity.bearers import Bearers
from jitgate.identity.bootstrap import OWNER_TOKEN, bootstrap
from jitgate.identity.kinds import TOKEN
from jitgate.main.hosts import HostEvents
from jitgate.reconcile.loop import Reconciler
from jitgate.service.base import Service, Settings
from jitgate.service.machines import take_over
from jitgate.store import credentials, principals
from jitgate.store.database import Store, Tx
from jitgate.store.principals import Credential
from jitgate.store.schema import metadata
from jitgate.trust import certificates, keyset, record_key, tokens
from jitgate.trust.keyset import Keyring
from jitgate.web.agents import AgentLink
from jitgate.web.app import create_app
from jitgate.web.metrics import Watched

MACHINES = ("web-1", "web-2", "win-1")
GROUP = "prod"
HOSTS = ("localhost", "127.0.0.1", "::1")
T = TypeVar("T")


@contextmanager
def silenced() -> Iterator[None]:
    """Without a log: that of a server in this process would stand among what commands print."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def linux_host(subscription: str, name: str, address: str, tags: Mapping[str, str]) -> Machine:
    """A machine with a firewall of its own, filed as hosts are."""
    return Machine(
        uuid=str(uuid5(NAMESPACE_URL, name)),
        id=machine_id(subscription, "jitgate", name),
        name=name,
        os=OperatingSystem.LINUX,
        connector="memory",
        provider="memory",
        scope=f"memory/{name}",
        addresses=(address,),
        tags=tags,
    )


class Server:
    """Started when entered, gone when left. `directory` holds what a data directory holds.

    `reconciles`  whether the firewall follows; if not, rows stay as the requests have left them
    `listen`      makes the socket that it accepts on
    `bearers`     whose tokens are believed; else only its own
    `machines`    what there is, of a subscription; else three
    `connectors`  what its reconciler works with; one can be put in
    `patience`    seconds that starting, ending and a call may take
    `watched`     what its metrics tell, and to whom
    `url`         of a database that was brought up to date; else an SQLite file of its own
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock | None = None,
        trusted_proxies: Sequence[Network] = (),
        allowed_hosts: Collection[str] = HOSTS,
        reconciles: bool = True,
        listen: Callable[[], socket.socket] = lambda: socket.create_server(("127.0.0.1", 0)),
        bearers: Bearers | None = None,
        machines: Callable[[str], Sequence[Machine]] | None = None,
        patience: float = 60.0,
        watched: Watched | None = None,
        url: str | None = None,
    ) -> None:
        self.directory = directory
        self._url = url
        self._machines = machines or self._three
        self._patience = patience
        self.clock = clock or SystemClock()
        self._trusted_proxies = trusted_proxies
        self._allowed_hosts = allowed_hosts
        self._reconciles = reconciles
        self._open = listen
        self._bearers = bearers or Bearers()
        self._watched = watched
        self._thread = threading.Thread(target=self._run, name="jitgate-server", daemon=True)
        self._started = threading.Event()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self.service: Service
        self.connector: MemoryConnector
        self.connectors: dict[str, Connector]
        self.base_url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(self._patience), "the server did not start"
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._uvicorn.should_exit = True
        assert self._ended.wait(self._patience), "the server did not end"
        # All is over but for closing the loop, in which uvloop now and then hangs where many threads and
        # descriptors have come and gone, as they do in a long test run.
        self._thread.join(5)

    # --- what tests ask for ---------------------------------------------------------------------------

    @property
    def ca(self) -> Path:
        """The certificate authority that clients trust."""
        return self.directory / "ca.pem"

    @property
    def token(self) -> str:
        """The owner's."""
        return (self.directory / OWNER_TOKEN).read_text().strip()

    @property
    def subscription(self) -> str:
        return self.service.settings.subscription

    def machine_id(self, name: str) -> str:
        return machine_id(self.subscription, GROUP, name)

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        """A client that trusts the server, with the owner's token unless told otherwise ("" for a stranger)."""
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        context = ssl.create_default_context(cafile=str(self.ca))
        return httpx.Client(base_url=self.base_url, headers=headers, verify=context, timeout=90, **options)

    def token_of(self, name: str, role: str = "", scope: str = "/") -> str:
        """The token of a new principal, with a role or with none."""
        token = tokens.make()

        def add(tx: Tx) -> None:
            account = principals.add(tx, uuid4().hex, name)
            credentials.add(tx, Credential(token.id, account.uid, TOKEN, "", token.digest, tx.now))
            if role:
                principals.assign(tx, uuid4().hex, account.uid, role, scope)

        self.call(self.service.store.write(add))
        return token.text

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's loop, where its store and connector live."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(self._patience)

    def drop_connections(self) -> None:
        """As a network does that breaks."""

        async def drop() -> None:
            for connection in list(self._uvicorn.server_state.connections):
                connection.transport.abort()

        self.call(drop())

    def rows(self, *except_tables: str) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that is in the database, table by table: to see that nothing has changed."""
        return self.call(self.service.store.read(lambda tx: _rows(tx, except_tables)))

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            # uvloop, as in service: asyncio's own loop leaves Nagle's algorithm on where a socket was made
            # beforehand, and each answer then waits 40 ms for an acknowledgement.
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
                self._ended.set()
        except BaseException as error:  # noqa: BLE001 - it is the test's, which gets it
            self._failure = error
        finally:
            self._started.set()
            self._ended.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._url is None:
            put_empty(self.directory / "jitgate.db")
        store = Store.open(self._url or f"sqlite:///{self.directory / 'jitgate.db'}", self.clock)
        try:
            await self._set_up(store)
            await self._listen(store)
        finally:
            store.close()

    async def _set_up(self, store: Store) -> None:
        made = await bootstrap(store, self.directory, lambda _tx, _owner: None)
        settings = Settings(made.subscription, GROUP, link_keys=lambda: (b"k" * 32,))
        kinds = {"memory": dict[str, Any]}
        self.service = Service(store, self.clock, settings, bearers=self._bearers, connector_kinds=kinds)
        self.events = HostEvents(self.service)
        self.fleet = Fleet(self.clock, self.events)
        self.connector = MemoryConnector(self.clock, self._machines(made.subscription))
        self.connectors = {"memory": self.connector, "fleet": self.fleet}
        self.reconciler = Reconciler(store, self.connectors, "test")
        authority, out = self.ca.read_text, self.reconciler.orders_are_out
        self.link = AgentLink(self.fleet, self._keyring, authority, authority, "", out)
        await take_over(self.service, await self.connector.discover(), self.connector.name)

    def _keyring(self) -> Keyring:
        return keyset.ensure(self.directory, self.ca.read_text())

    def _three(self, _subscription: str) -> Sequence[Machine]:
        return [self._machine(name) for name in MACHINES]

    def _machine(self, name: str) -> Machine:
        """A machine with a firewall of its own."""
        made = self.machine_id(name)
        system = OperatingSystem.WINDOWS if name.startswith("win") else OperatingSystem.LINUX
        uuid = str(uuid5(NAMESPACE_URL, made))
        return Machine(uuid, made, name, system, "memory", "memory", f"memory/{name}", "westeurope", ("10.9.9.9",))

    async def _listen(self, store: Store) -> None:
        reconciling = asyncio.create_task(self.reconciler.run()) if self._reconciles else None
        sealer = Sealer(store, record_key.ensure(self.directory).now, "test")
        sealing = asyncio.create_task(sealer.run()) if self._reconciles else None
        with self._open() as listener:
            self.base_url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            self._uvicorn = _Uvicorn(self._config(), self._started)
            await self._uvicorn.serve([listener])
            # A client that keeps its connection never answers the farewell of TLS, and the loop cannot close on it.
            for connection in list(self._uvicorn.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0.01)
        if sealing is not None:
            sealing.cancel()
        if reconciling is not None:
            self.reconciler.stop()
            await reconciling
        await self.fleet.close()

    def _config(self) -> uvicorn.Config:
        # The real time, whatever clock the test has: it is compared by the client.
        made = certificates.ensure(self.directory, HOSTS, SystemClock().wall())
        app = create_app(
            self.service,
            self.link,
            trusted_proxies=self._trusted_proxies,
            allowed_hosts=self._allowed_hosts,
            watched=self._watched,
        )
        return uvicorn.Config(
            app,
            ssl_certfile=str(made.server),
            proxy_headers=False,
            server_header=False,
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=0,
        )


class _Uvicorn(uvicorn.Server):
    """Tells when it is listening."""

    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._listening = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()


_BY_ITSELF = {"activity_head", "duty", "activity.sequence", "credential.used_at", "credential.used_from"}
"""What changes while nobody asks for anything, or whoever asks: the record is sealed, and who came by is noted."""


def _rows(tx: Tx, except_tables: Collection[str]) -> dict[str, list[tuple[Any, ...]]]:
    left_out = {*except_tables, *_BY_ITSELF}
    tables = [table for table in metadata.sorted_tables if table.name not in left_out]
    return {table.name: sorted((tuple(row) for row in tx.execute(_select(table))), key=repr) for table in tables}


def _select(table: Table) -> Select[Any]:
    return select(*(column for column in table.columns if f"{table.name}.{column.name}" not in _BY_ITSELF))
