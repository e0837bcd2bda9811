"""The server: the one place where everything is put together."""

import asyncio
import contextlib
import gc
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from jitgate import audit, telemetry
from jitgate.audit import Event, Operation, Outcome
from jitgate.audit.courier import Courier
from jitgate.audit.outlets import FileOutlet, Outlet, SyslogOutlet, WebhookOutlet
from jitgate.audit.sealer import Sealer
from jitgate.clock import SystemClock
from jitgate.config import Notify, Record
from jitgate.connectors.gateway import connector as gateway
from jitgate.connectors.gateway.connector import Behind, GatewayConnector
from jitgate.connectors.hosts.connector import HostsConnector, Told
from jitgate.connectors.hosts.fleet import Fleet
from jitgate.core import prefixes
from jitgate.identity.bearers import Bearers
from jitgate.identity.bootstrap import OWNER_NAME, bootstrap
from jitgate.identity.signing import Signer
from jitgate.main import issuers
from jitgate.main.hosts import HostEvents
from jitgate.notify.message import Address
from jitgate.notify.notifier import Notifier
from jitgate.notify.receivers import Channel, Receiver, Webhook, apprise_channel, read_secret
from jitgate.ops import directory
from jitgate.ops.directory import DataDirectory
from jitgate.ops.serve import url_of
from jitgate.ops.supervisor import GATEWAY_LINK, LINK, READY
from jitgate.reconcile import Reconciler
from jitgate.service import sessions
from jitgate.service.base import Service, Settings, SignIn
from jitgate.service.reminders import remind_for_ever
from jitgate.store.activity import Entry
from jitgate.store.database import Store, Tx
from jitgate.store.principals import Account
from jitgate.trust import certificates, keyset, links, record_key
from jitgate.trust.certificates import LOOPBACK, Certificates
from jitgate.trust.files import write_private
from jitgate.trust.keyset import Keyring
from jitgate.web.agents import AgentLink
from jitgate.web.app import create_app

_RENEWAL_EVERY_SECONDS = 12 * 3600.0
_DRAIN_SECONDS = 5
_AGENT_MAY_TAKE_SECONDS = 3.0
_FAREWELL_SECONDS = 0.2
_MOST_LINKS = 8
_GARBAGE_AFTER = 20_000
"""Objects that are made before garbage is looked for. A request makes hundreds, and hardly any garbage of that kind."""
_GONE = b""
"""What is read from a socket whose other side has closed it."""

_log = structlog.get_logger(__name__)


class WebServer(uvicorn.Server):
    """Says when it accepts connections."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests end, and hang up on everybody else."""
        hanging_up = asyncio.create_task(self._hang_up())
        try:
            await super().shutdown(sockets)
        finally:
            hanging_up.cancel()

    async def _hang_up(self) -> None:
        """A client that keeps its connection never answers the farewell of TLS, and would be waited for in vain."""
        while True:
            await asyncio.sleep(_FAREWELL_SECONDS)
            for connection in list(self.server_state.connections):
                if _is_idle(connection):
                    connection.transport.abort()


class House:
    """One server process. Raises JitgateError while it is built, if something in the data directory is wrong."""

    def __init__(self, data_dir: Path, listening: socket.socket) -> None:
        telemetry.configure()
        self._listening = listening
        self._directory = DataDirectory(data_dir)
        self._settings = directory.read_settings(self._directory)
        self._clock = SystemClock()
        self._names = _names(listening.getsockname()[0], self._settings.server.allowed_hosts)
        self._certificates = self._ensure_certificates()
        self._receivers = [_receiver(chosen, index) for index, chosen in enumerate(self._settings.notify)]
        self._record_key = record_key.ensure(self._directory.path)
        self._ring: tuple[int, Keyring] | None = None
        self._keyring()
        self._store = Store.open(self._directory.database_url(self._settings), self._clock)

    def serve(self, control: socket.socket) -> None:
        """Serve until a signal, or until the supervisor is gone."""
        config = uvicorn.Config("", log_config=None)
        try:
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                # What was loaded so far stays for good. Left out, it does not hold up requests whenever garbage is
                # looked for: some 50 ms each time.
                gc.collect()
                gc.freeze()
                gc.set_threshold(_GARBAGE_AFTER)
                runner.run(self._serve(control))
        finally:
            self._store.close()

    async def _serve(self, control: socket.socket) -> None:
        installation = await bootstrap(self._store, self._directory.path, _owner_on_record)
        settings = self._service_settings(installation.subscription)
        bearers = Bearers(Signer.ensure(self._directory.path), issuers.trusted(self._settings.issuers, self._clock))
        service = Service(self._store, self._clock, settings, bearers=bearers)
        await self._leave_link(service, is_new=installation.is_new)
        events, gateway_events = HostEvents(service), HostEvents(service, gateway.NAME)
        hosts = self._hosts(service.settings, events)
        gateways = self._gateways(service.settings, gateway_events)
        replica = directory.replica_name(self._directory)
        fleet = Fleet(self._clock, events)
        connected = {each.name: each for each in (hosts, gateways, fleet)}
        reconciler = Reconciler(self._store, connected, owner=replica)
        sealer = Sealer(self._store, self._record_key, replica, self._settings.record.retention)
        courier = Courier(self._store, replica, _outlets(self._settings.record))
        notifier = Notifier(self._store, replica, self._receivers, self._address(settings), _skipped)
        serving = asyncio.Event()
        web = self._web(service, fleet, serving.set)
        async with asyncio.TaskGroup() as tasks:
            reconciling = tasks.create_task(reconciler.run())
            aside = [
                tasks.create_task(events.look_regularly()),
                tasks.create_task(sealer.run()),
                tasks.create_task(courier.run()),
                tasks.create_task(notifier.run()),
                tasks.create_task(remind_for_ever(service)),
                tasks.create_task(self._forget_gateways(gateway_events)),
                tasks.create_task(events.keep_heard(fleet)),
                tasks.create_task(self._renew_certificates(web.config)),
                tasks.create_task(_take_links(control, {LINK: hosts, GATEWAY_LINK: gateways}, web)),
                tasks.create_task(_say_ready(control, serving, [events, gateway_events])),
            ]
            await web.serve(sockets=[self._listening])
            for task in aside:
                task.cancel()
            reconciler.stop()
            await reconciling
        await hosts.close()
        await gateways.close()
        await fleet.close()

    async def _leave_link(self, service: Service, *, is_new: bool) -> None:
        """At the first start, a link by which whoever may read the data directory signs in in a browser."""
        file = self._directory.sign_in
        if not is_new:
            file.unlink(missing_ok=True)
            return
        secret = await sessions.make_first_link(service, OWNER_NAME)
        write_private(file, f"{url_of(self._listening)}/sign-in#{secret}\n".encode())

    def _service_settings(self, subscription: str) -> Settings:
        chosen = self._settings
        return Settings(
            subscription=chosen.installation.subscription or subscription,
            resource_group=chosen.installation.resource_group,
            history=chosen.access.history,
            longest_access=chosen.access.longest_access,
            remind_before=chosen.access.remind_before,
            public_url=chosen.server.url or "",
            link_key=links.ensure_key(self._directory.path),
            sign_in=SignIn(chosen.sign_in.session, chosen.sign_in.idle, chosen.sign_in.command_line),
        )

    def _address(self, settings: Settings) -> Address:
        return Address(settings.public_url, settings.link_key)

    def _hosts(self, settings: Settings, events: HostEvents) -> HostsConnector:
        told = {host.name: Told(host.addresses, host.tags) for host in self._settings.hosts}
        hosts = HostsConnector(settings.subscription, settings.resource_group, self._clock, events, told)
        events.connector = hosts
        return hosts

    def _gateways(self, settings: Settings, events: HostEvents) -> GatewayConnector:
        behind = {
            machine.name: Behind(f"gateway/{each.name}", machine.os, machine.tags)
            for each in self._settings.gateways
            for machine in each.machines
        }
        connected = (settings.subscription, settings.resource_group, self._clock, events, behind)
        events.connector = GatewayConnector(*connected)
        return events.connector

    async def _forget_gateways(self, events: HostEvents) -> None:
        """What stood behind gateways is gone, where there are none any more; else their process tells."""
        if not self._settings.gateways:
            await events.take_over_machines()

    def _web(self, service: Service, fleet: Fleet, ready: Callable[[], object]) -> WebServer:
        chosen = self._settings.server
        app = create_app(
            service,
            AgentLink(fleet, self._keyring, self._authorities),
            trusted_proxies=[prefixes.network(prefix) for prefix in chosen.trusted_proxies],
            allowed_hosts=self._names,
            max_body=chosen.max_body,
        )
        config = uvicorn.Config(
            app,
            ssl_certfile=self._certificates.server,
            log_config=None,
            access_log=False,  # It would hold query strings; what was asked for is in the activity log.
            proxy_headers=False,  # Who is believed about a caller's address is decided in one place of our own.
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        return WebServer(config, ready)

    def _authorities(self) -> str:
        return self._certificates.authority.read_text("ascii")

    def _keyring(self) -> Keyring:
        """The keys of the agent link, read again when somebody has rotated them."""
        changed = keyset.changed_at(self._directory.path)
        if self._ring is None or self._ring[0] != changed:
            ring = keyset.ensure(self._directory.path, self._authorities())
            self._ring = keyset.changed_at(self._directory.path), ring
        return self._ring[1]

    def _ensure_certificates(self) -> Certificates:
        return certificates.ensure(self._directory.path, self._names, self._clock.wall())

    async def _renew_certificates(self, config: uvicorn.Config) -> None:
        while True:
            await asyncio.sleep(_RENEWAL_EVERY_SECONDS)
            renewed = await asyncio.to_thread(self._ensure_certificates)
            if renewed.renewed and config.ssl is not None:
                config.ssl.load_cert_chain(renewed.server)
                _log.info("the server's certificate was renewed", expires=str(renewed.expires_at))


def _outlets(chosen: Record) -> list[Outlet]:
    """Where heads of the record are sent, besides staying in the database."""
    outlets: list[Outlet] = []
    if chosen.heads_file is not None:
        outlets.append(FileOutlet(chosen.heads_file))
    if chosen.heads_webhook is not None:
        outlets.append(WebhookOutlet(chosen.heads_webhook))
    if chosen.heads_syslog is not None:
        place = chosen.heads_syslog
        outlets.append(SyslogOutlet(place.way, place.host, place.port))
    return outlets


def _receiver(chosen: Notify, index: int) -> Receiver:
    """A receiver of notifications. Raises Invalid, where its file does not do."""
    if chosen.url is not None and chosen.secret_file is not None:
        secret = read_secret(chosen.secret_file, f"notify[{index}].secret_file")
        return Webhook(chosen.name, chosen.events, chosen.url, secret)
    assert chosen.apprise_file is not None
    return Channel(chosen.name, chosen.events, apprise_channel(chosen.apprise_file, f"notify[{index}].apprise_file"))


def _skipped(tx: Tx, receiver: str, entry: Entry, why: str) -> None:
    if entry.operation == Operation.NOTIFY_REFUSED:
        return  # It would be told that it does not take what it is told.
    facts = {"receiver": receiver, "sequence": entry.sequence, "operation": entry.operation, "error": why}
    audit.record(tx, [Event(Operation.NOTIFY_REFUSED, Outcome.FAILED, f"notify/{receiver}", properties=facts)])


async def _take_links(
    control: socket.socket, connectors: Mapping[bytes | None, HostsConnector], web: WebServer
) -> None:
    """Take each link that the supervisor hands over: to an agent, or to the gateways. When it is gone, so are we."""
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    control.setblocking(False)
    loop.add_reader(control.fileno(), readable.set)
    try:
        while not web.should_exit:
            await readable.wait()
            data, descriptors = _receive(control)
            if data is None:
                readable.clear()
            if data == _GONE:
                _log.warning("the supervisor is gone; ending")
                web.should_exit = True
            for descriptor in descriptors:
                await connectors[data].attach(socket.socket(fileno=descriptor))
    finally:
        loop.remove_reader(control.fileno())


def _is_idle(connection: Any) -> bool:
    """Whether uvicorn has nothing under way on a connection, and nothing left to send."""
    cycle, transport = connection.cycle, connection.transport
    return (cycle is None or cycle.response_complete) and not transport.get_write_buffer_size()


def _receive(control: socket.socket) -> tuple[bytes | None, list[int]]:
    """What the supervisor says, and the sockets that come with it. None: nothing just now."""
    try:
        data, descriptors, *_ = socket.recv_fds(
            control, 1, _MOST_LINKS
        )  # One byte: a link comes with what says whose it is.
    except BlockingIOError:
        return None, []
    except ConnectionResetError:
        return _GONE, []
    return data, descriptors


async def _say_ready(control: socket.socket, serving: asyncio.Event, events: Sequence[HostEvents]) -> None:
    """Tell the supervisor, once clients are served and find the machines listed; or at least the former."""
    await serving.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_AGENT_MAY_TAKE_SECONDS):
            for each in events:
                await each.looked.wait()
    with contextlib.suppress(OSError):  # Nobody to tell: whoever takes links notices as well, and ends the server.
        control.send(READY)


def _names(listening_on: str, allowed: tuple[str, ...]) -> list[str]:
    """What clients may call this server. Beyond loopback, that is this machine's name too."""
    address = ipaddress.ip_address(listening_on.partition("%")[0])
    own = [] if address.is_loopback else [socket.gethostname()]
    if not address.is_unspecified:
        own.append(str(address))
    return list(dict.fromkeys(name.lower() for name in [*LOOPBACK, *own, *allowed]))


def _owner_on_record(tx: Tx, account: Account) -> None:
    made = Event(Operation.PRINCIPAL_CREATE, Outcome.SUCCEEDED, account.name, properties={"kind": account.kind})
    audit.record(tx, [made])
