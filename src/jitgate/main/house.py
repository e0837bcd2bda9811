"""The server: the one place where everything is put together."""

import asyncio
import contextlib
import ipaddress
import platform
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path

import structlog
import uvicorn

from jitgate import __version__, audit, metrics, telemetry, tracing
from jitgate.audit import Event, Operation, Outcome
from jitgate.audit.courier import Courier
from jitgate.audit.outlets import FileOutlet, Outlet, SyslogOutlet, WebhookOutlet
from jitgate.audit.sealer import Sealer
from jitgate.clock import SystemClock
from jitgate.config.parts import Part
from jitgate.config.settings import Notify, Record, Server
from jitgate.connectors.base import Connector
from jitgate.connectors.gateway.connector import Behind
from jitgate.connectors.hosts.connector import HostsConnector, Told
from jitgate.connectors.hosts.fleet import Fleet
from jitgate.core import prefixes
from jitgate.core.errors import Invalid, Unavailable
from jitgate.identity.bearers import Bearers
from jitgate.identity.bootstrap import OWNER_NAME, bootstrap
from jitgate.identity.signing import Signer
from jitgate.main import issuers
from jitgate.main.attendance import Attendance
from jitgate.main.beside import Beside
from jitgate.main.cloud_kinds import kinds
from jitgate.main.clouds import Clouds
from jitgate.main.garbage import Garbage
from jitgate.main.hosts import HostEvents, keep_heard
from jitgate.main.served_certificates import ServedCertificates
from jitgate.main.web_server import FINISHING_SECONDS, WebServer
from jitgate.notify.message import Address
from jitgate.notify.notifier import Notifier
from jitgate.notify.receivers import Channel, Receiver, Webhook, apprise_channel, read_secrets
from jitgate.ops import backup, directory, keys
from jitgate.ops.directory import DataDirectory
from jitgate.ops.serve import url_of
from jitgate.ops.supervisor import READY
from jitgate.reconcile import Reconciler
from jitgate.service import sessions
from jitgate.service.base import Service, Settings, SignIn
from jitgate.service.reminders import remind_for_ever
from jitgate.store import heads, installation
from jitgate.store.activity import Entry
from jitgate.store.database import Store, Tx
from jitgate.store.principals import Account
from jitgate.trust import keyset, links, record_key
from jitgate.trust.certificates import LOOPBACK
from jitgate.trust.files import write_private
from jitgate.trust.own_certificate import Pair
from jitgate.trust.succession import Succession
from jitgate.web.agents import AgentLink
from jitgate.web.app import create_app
from jitgate.web.metrics import Watched, read_tokens
from jitgate.web.portal import assets

_AGENT_MAY_TAKE_SECONDS = 3.0
_FORGET_EVERY_SECONDS = 600.0
_MOST_LINKS = 8
_GONE = b""
"""What is read from a socket whose other side has closed it."""

_log = structlog.get_logger(__name__)


class House:
    """One server process. Raises JitgateError while it is built, if something in the data directory is wrong."""

    def __init__(self, data_dir: Path, listening: socket.socket, part: Part = Part.ALL) -> None:
        telemetry.configure()
        self._listening = listening
        self._part = part
        self._directory = DataDirectory(data_dir)
        self._replica = directory.replica_name(self._directory)
        self._settings = directory.read_settings(self._directory)
        telemetry.configure(self._settings.log.format)
        self._clock = SystemClock()
        self._names = _names(listening.getsockname()[0], self._settings.server.allowed_hosts)
        self._certificates = ServedCertificates(
            self._directory.path, self._names, _own_certificate(self._settings.server), self._clock
        )
        self._receivers = [_receiver(chosen, index) for index, chosen in enumerate(self._settings.notify)]
        self._watched = self._watch()
        self._record_keys = record_key.ensure(self._directory.path)
        self._keyring = keyset.OnFile(data_dir, self._clock.elapsed)
        self._link_keys = links.ensure_keys(self._directory.path)
        self._trace()
        url = self._directory.database_url(self._settings)
        self._store = Store.open(url, self._clock)
        if directory.is_shared(url):
            self._store.write_now(lambda tx: must_have_the_keys(tx, self._link_keys.now(), data_dir))

    def serve(self, control: socket.socket) -> None:
        """Serve until a signal, or until the supervisor is gone."""
        plain = uvicorn.Config("", log_config=None)
        try:
            with asyncio.Runner(loop_factory=plain.get_loop_factory()) as runner:
                runner.run(self._serve(control, Garbage()))
        finally:
            self._store.close()
            tracing.end()

    async def _serve(self, control: socket.socket, garbage: Garbage) -> None:
        begun = await bootstrap(self._store, self._directory.path, _owner_on_record)
        settings = self._service_settings(begun.subscription)
        bearers = Bearers(Signer.ensure(self._directory.path), issuers.trusted(self._settings.issuers, self._clock))
        clouds_known = kinds(self._clock)
        checks = {name: kind.check for name, kind in clouds_known.items()}
        reach = {name: kind.reach for name, kind in clouds_known.items()}
        places = {name: kind.places for name, kind in clouds_known.items() if kind.places is not None}
        service = Service(
            self._store,
            self._clock,
            settings,
            bearers=bearers,
            connector_kinds=checks,
            connector_reach=reach,
            connector_places=places,
        )
        await self._leave_link(service, is_new=begun.is_new)
        attendance = Attendance(self._store, self._replica, self._part)
        await attendance.begin()
        fleet = Fleet(self._clock, HostEvents(service, replica=self._replica))
        beside = self._beside(service) if self._part.works else None
        connected: dict[str, Connector] = {each.name: each for each in (beside.connectors if beside else ())}
        if self._part.answers_agents:
            connected[fleet.name] = fleet
        serving = asyncio.Event()
        reconciler = Reconciler(self._store, connected, owner=self._replica)
        web = self._web(service, self._link(fleet, reconciler), serving.set)
        aside: list[Coroutine[None, None, None]] = [
            attendance.run(web.end_now),
            self._certificates.keep(),
            self._forget_former_keys(),
            _take_links(control, beside.links if beside else {}, web),
            _say_ready(control, serving, beside.events if beside else ()),
            garbage.keep_away(),
        ]
        if beside is not None:
            clouds = Clouds(service, clouds_known, connected, self._replica)
            aside += [clouds.run(), *beside.work(), *self._for_all(service)]
        if self._part.answers_agents:
            aside.append(keep_heard(service, fleet))
        async with asyncio.TaskGroup() as tasks:
            reconciling = [tasks.create_task(reconciler.run())] if self._part.reconciles else []
            running = [tasks.create_task(each) for each in aside]
            await web.serve(sockets=[self._listening])
            for task in running:
                task.cancel()
            reconciler.stop()
            await asyncio.gather(*reconciling)
        if beside is not None:
            await beside.close()
        await fleet.close()
        await attendance.end()

    def _for_all(self, service: Service) -> list[Coroutine[None, None, None]]:
        """What one replica at a time does for all."""
        record = self._settings.record
        return [
            Sealer(self._store, self._record_keys.now, self._replica, record.retention).run(),
            Courier(self._store, self._replica, _outlets(record)).run(),
            Notifier(self._store, self._replica, self._receivers, self._address(service.settings), _skipped).run(),
            remind_for_ever(service),
        ]

    def _beside(self, service: Service) -> Beside:
        chosen = self._settings
        told = {host.name: Told(host.addresses, host.tags) for host in chosen.hosts}
        behind = {
            machine.name: Behind(f"gateway/{each.name}", machine.os, machine.tags)
            for each in chosen.gateways
            for machine in each.machines
        }
        return Beside(service, self._clock, self._replica, told, behind, has_gateways=bool(chosen.gateways))

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
            link_keys=lambda: self._link_keys.now().believed(self._clock.wall(), links.LIFE),
            sign_in=SignIn(chosen.sign_in.session, chosen.sign_in.idle, chosen.sign_in.command_line),
        )

    def _address(self, settings: Settings) -> Address:
        return Address(settings.public_url, settings.link_keys)

    def _link(self, fleet: Fleet, reconciler: Reconciler) -> AgentLink:
        return AgentLink(
            fleet,
            self._keyring.now,
            self._certificates.authority,
            self._certificates.authorities,
            self._replica,
            reconciler.orders_are_out,
        )

    def _web(self, service: Service, link: AgentLink, ready: Callable[[], object]) -> WebServer:
        chosen = self._settings.server
        app = create_app(
            service,
            link,
            trusted_proxies=[prefixes.network(prefix) for prefix in chosen.trusted_proxies],
            allowed_hosts=self._names,
            max_body=chosen.max_body,
            clients=self._part.answers_clients,
            polls=self._part.answers_agents,
            watched=self._watched,
        )
        if self._part.answers_clients and (gone := assets.missing()):
            _log.warning("the portal's scripts were never fetched: its pages do not renew themselves", missing=gone)
        web = uvicorn.Config(
            app,
            ssl_certfile=self._certificates.server,
            ssl_context_factory=lambda _, make: self._certificates.attach(make()),
            log_config=None,
            access_log=False,  # It would hold query strings; what was asked for is in the activity log.
            proxy_headers=False,  # Who is believed about a caller's address is decided in one place of our own.
            server_header=False,
            timeout_graceful_shutdown=FINISHING_SECONDS,
        )

        async def let_go() -> None:
            await asyncio.gather(*([app.state.live.close()] if self._part.answers_clients else ()), link.fleet.let_go())

        notice = directory.notice(self._directory, self._settings).total_seconds()
        return WebServer(web, ready, app.state.readiness, notice, let_go)

    def _trace(self) -> None:
        """Send spans where the settings say. Raises Invalid where the extra is missing."""
        endpoint = self._settings.tracing.endpoint
        if endpoint is None:
            return
        facts = {"service.name": "jitgate", "service.version": __version__, "service.instance.id": self._replica}
        tracing.begin(endpoint, {**facts, "jitgate.role": self._part})

    def _watch(self) -> Watched:
        """What metrics tell of besides what is counted. Raises Invalid, where its file of tokens does not do."""
        metrics.BUILD.info({"version": __version__, "python": platform.python_version(), "role": self._part})
        token_file, path = self._settings.metrics.token_file, self._directory.path
        if token_file is not None:
            read_tokens(token_file)
        return Watched(
            token_file=token_file,
            certificates=self._certificates.files,
            backup=path / backup.LAST,
            receivers=[each.name for each in self._receivers],
            outlets=[each.name for each in _outlets(self._settings.record)],
        )

    async def _forget_former_keys(self) -> None:
        """Private keys that nothing is signed with any more, and that nobody has to believe, do not stay."""
        while True:
            try:
                path, now, handed = self._directory.path, self._clock.wall(), await self._has_handed_over()
                if gone := await asyncio.to_thread(keys.forget_former, path, now, has_handed_over=handed):
                    _log.info("former keys are gone", count=gone)
            except (Invalid, Unavailable, OSError) as error:
                _log.error("former keys cannot be taken away", error=str(error))
            await asyncio.sleep(_FORGET_EVERY_SECONDS)

    async def _has_handed_over(self) -> bool:
        """Whether the record's key of now has sealed a head: then the former has vouched for it."""
        last = await self._store.read(heads.last)
        current = self._record_keys.now().current(self._clock.wall())
        return last is not None and last.head.key == current.public


def must_have_the_keys(tx: Tx, held: Succession[bytes], path: Path) -> None:
    """Replicas speak with the same keys: else tokens, hosts and the record of one are worth nothing at another.

    They are known by the keys of links. Where the one that they were known by is still among those here, they are
    known by the newest from now on: so that the former can go.
    """
    mine = links.fingerprints(held)
    theirs = installation.keys(tx)
    if theirs is None or theirs in mine:
        installation.keep_keys(tx, mine[-1])
    else:
        raise Invalid(
            "--data-dir",
            f"{path} has other keys than the replicas that share this database",
            allowed=f"a copy of {', '.join(directory.SHARED_KEYS)} from one of them (how-to: run several replicas)",
        )


def _own_certificate(chosen: Server) -> Pair | None:
    if chosen.certificate_file is None or chosen.certificate_key_file is None:
        return None
    return Pair(chosen.certificate_file, chosen.certificate_key_file)


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
        secrets = read_secrets(chosen.secret_file, f"notify[{index}].secret_file")
        return Webhook(chosen.name, chosen.events, chosen.url, secrets)
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
                web.end_now()
            for descriptor in descriptors:
                await connectors[data].attach(socket.socket(fileno=descriptor))
    finally:
        loop.remove_reader(control.fileno())


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
