"""A house for tests: a real database, the use cases, a reconciler and a firewall in memory, by a clock of its own.

async with House() as house:
    await house.enable("web-1")
    grant = await house.open("web-1")
    assert house.reaches("web-1")
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from uuid import uuid4

from sqlalchemy import delete, func, insert, select, text, update
from tests.sqlite import fast_place, put_empty

from jitgate.audit import Operation
from jitgate.audit.sealer import Sealer
from jitgate.clock import Clock, ManualClock
from jitgate.connectors.base import Connector
from jitgate.connectors.memory import MemoryConnector, Session
from jitgate.core import duration, prefixes
from jitgate.core.access import Ask, Grant, MachineAsk, PortAsk, Span, State
from jitgate.core.desired import PortKey
from jitgate.core.desired import Protocol as IpProtocol
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import PolicyId, machine_id, parse_machine_id
from jitgate.core.roles import Limit, Principal
from jitgate.reconcile import Reconciler
from jitgate.service import grants, guardrails, machines, policies, requests
from jitgate.service.base import Asker, Service, Settings
from jitgate.service.views import GrantView, RequestView
from jitgate.store import activity, principals, scopes
from jitgate.store import guardrails as guardrail_rows
from jitgate.store.activity import Entry, Filter
from jitgate.store.database import Store, Tx
from jitgate.store.schema import grant_key, metadata
from jitgate.store.schema import grants as grant_rows
from jitgate.store.scopes import Scope
from jitgate.trust import record_key

START = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
HERE = "203.0.113.7"
ELSEWHERE = "198.51.100.9"
MACHINES = ("web-1", "web-2", "db-1")


class MovableClock(Clock, Protocol):
    """A clock that tests move."""

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        ...

    def step(self, by: timedelta) -> None:
        """Set the wall clock forward or back, while no time passes."""
        ...


class House:
    """Everything but the web, with machines that nothing protects yet and an owner named alice."""

    def __init__(
        self, clock: MovableClock | None = None, machines: Sequence[str] = MACHINES, url: str | None = None
    ) -> None:
        """`url`: of a database that was brought up to date; None: an SQLite file of its own."""
        self.clock: MovableClock = clock or ManualClock(START)
        self.directory = Path(tempfile.mkdtemp(prefix="jg-house-", dir=fast_place()))
        if url is None:
            put_empty(self.directory / "jitgate.db")
        self.url = url or f"sqlite:///{self.directory}/jitgate.db"
        self.machines = [machine(name) for name in machines]
        self.firewall = MemoryConnector(self.clock, self.machines)
        self.connectors: dict[str, Connector] = {"memory": self.firewall}
        self.store = self.open_store()
        self.service = Service(self.store, self.clock, Settings(SUBSCRIPTION))
        self.reconciler = self.make_reconciler("first")
        self.alice = Asker(Principal("", ""))

    async def __aenter__(self) -> Self:
        self.alice = await self.add_asker("alice", "Owner")
        await self.discover()
        await self.settle()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database, and remove it."""
        self.store.close()
        shutil.rmtree(self.directory)

    # --- its parts ----------------------------------------------------------------------------------

    def open_store(self) -> Store:
        return Store.open(self.url, self.clock)

    def make_reconciler(self, owner: str, **options: timedelta) -> Reconciler:
        return Reconciler(self.store, self.connectors, owner, **options)

    def make_sealer(self, owner: str = "first", retention: timedelta | None = None) -> Sealer:
        return Sealer(self.store, record_key.ensure(self.directory).now, owner, retention)

    def crash(self) -> None:
        """Lose every object that a process holds; what is on disk and in the firewall is all that is left."""
        self.store.close()
        self.store = self.open_store()
        self.service = replace(self.service, store=self.store)
        self.reconciler = self.make_reconciler("first")

    async def settle(self) -> int:
        """Reconcile until nothing is due; the number of passes."""
        return await self.reconciler.reconcile_all_due()

    async def due(self) -> list[str]:
        """The scopes that are to be looked at now."""
        return await self.store.read(lambda tx: scopes.due(tx, self.connectors, 1000))

    async def pass_time(self, by: timedelta) -> None:
        """Let time pass, and let the reconciler see it."""
        self.clock.advance(by)
        await self.settle()

    async def add_asker(self, name: str, role: str = "", scope: str = "/", address: str = HERE) -> Asker:
        """Somebody with a role, or with none."""
        uid = f"uid-{name}"

        def add(tx: Tx) -> Principal | None:
            principals.add(tx, uid, name)
            if role:
                principals.assign(tx, uuid4().hex, uid, role, scope)
            return principals.load(tx, uid)

        principal = await self.store.write(add)
        assert principal is not None
        return Asker(principal, f"token-of-{name}", prefixes.of_address(address), f"asked-by-{name}")

    async def add_approvers(self) -> tuple[Asker, Asker]:
        """Two who may approve everything."""
        return await self.add_asker("dora", "JIT Approver"), await self.add_asker("egon", "JIT Approver")

    async def add_role(self, asker: Asker, role: str, scope: str) -> Asker:
        """The same asker with one more role."""
        uid = asker.principal.uid

        def assign(tx: Tx) -> Principal | None:
            principals.assign(tx, uuid4().hex, uid, role, scope)
            return principals.load(tx, uid)

        principal = await self.store.write(assign)
        assert principal is not None
        return replace(asker, principal=principal)

    async def discover(self) -> None:
        """Have the connector's machines as they are now taken over."""
        self.firewall.machines = list(self.machines)
        await machines.take_over(self.service, self.machines, "memory")

    async def strip(self, asker: Asker) -> Asker:
        """The same asker without any role."""
        given = await self.store.read(principals.list_assignments)

        def unassign(tx: Tx) -> None:
            for one in given:
                if one.principal == asker.principal.uid:
                    principals.unassign(tx, one.uid)

        await self.store.write(unassign)
        return replace(asker, principal=replace(asker.principal, assignments=()))

    # --- what people do -----------------------------------------------------------------------------

    async def enable(self, *names: str) -> None:
        """Protect machines with the defaults of their system: port 22, from anywhere, up to three hours."""
        await policies.enable_machines(self.service, self.alice, names or None)
        await self.settle()

    async def put(self, *parts: MachinePolicy, name: str = "default") -> None:
        """Write a policy and have it stand."""
        await policies.put_policy(self.service, self.alice, policy(*parts, name=name))
        await self.settle()

    async def put_only(self, *parts: MachinePolicy, name: str = "default") -> None:
        """Write a policy, and reconcile nothing."""
        await policies.put_policy(self.service, self.alice, policy(*parts, name=name))

    async def ask(
        self,
        *names: str,
        ports: Sequence[int] = (22,),
        sources: Sequence[str] = (HERE,),
        span: Span | None = None,
        by: Asker | None = None,
        start: datetime | None = None,
        justification: str = "deploy",
    ) -> RequestView:
        """Ask for ports of machines; nothing is reconciled yet."""
        asker = by or self.alice
        made = ask(
            *names, ports=ports, sources=sources, span=span, caller=asker.address, start=start, why=justification
        )
        return await requests.request_access(self.service, asker, made)

    async def open(
        self,
        name: str,
        *,
        port: int = 22,
        sources: Sequence[str] = (HERE,),
        span: Span | None = None,
        by: Asker | None = None,
    ) -> Grant:
        """Ask for one port, and have it stand."""
        asked = await self.ask(name, ports=(port,), sources=sources, span=span, by=by)
        await self.settle()
        return await self.grant(asked.grants[0].grant.uid)

    async def confirm_guardrail(self, name: str, by: Asker) -> None:
        """Agree to the change of a guardrail that waits."""
        found = await self.store.read(lambda tx: guardrail_rows.proposal(tx, name))
        await guardrails.confirm_guardrail(self.service, by, name, found.mark if found else "")

    async def close_early(self, uid: str, by: Asker | None = None) -> Grant:
        """Close a grant and have it stand."""
        await grants.close_grant(self.service, by or self.alice, uid)
        await self.settle()
        return await self.grant(uid)

    async def rename(self, grant: Grant, uid: str) -> None:
        """Give a grant that is open another id."""

        def work(tx: Tx) -> None:
            keys = tx.execute(select(grant_key).where(grant_key.c.grant == grant.uid)).mappings().all()
            tx.execute(delete(grant_key).where(grant_key.c.grant == grant.uid))
            tx.execute(update(grant_rows).where(grant_rows.c.uid == grant.uid).values(uid=uid))
            tx.execute(insert(grant_key), [{**key, "grant": uid} for key in keys])

        await self.store.write(work)

    async def sweep_soon(self, name: str) -> None:
        """Have a machine's firewall compared with what it should hold at the next look."""
        await self.store.write(lambda tx: scopes.sweep_soon(tx, [self.machine(name).scope]))

    async def restore_generation(self, name: str, generation: int) -> None:
        """Let the database know an older generation than the firewall, as a restored copy does."""
        values = {"scope": self.machine(name).scope, "generation": generation}
        statement = text("UPDATE scope_state SET generation = :generation WHERE scope = :scope")
        await self.store.write(lambda tx: tx.execute(statement, values).close())

    # --- what is so ---------------------------------------------------------------------------------

    async def grant(self, uid: str) -> Grant:
        return (await self.view(uid)).grant

    async def view(self, uid: str) -> GrantView:
        return await grants.get_grant(self.service, self.alice, uid)

    async def live(self) -> list[Grant]:
        """The grants that are not over, oldest first."""
        page = await grants.list_grants(self.service, self.alice, limit=1000)
        return [view.grant for view in page.items if view.grant.state is not State.CLOSING][::-1]

    async def events(self, operation: Operation | None = None) -> list[Entry]:
        """The record, oldest first."""
        wanted = Filter(operation=str(operation) if operation else None)
        return await self.store.read(lambda tx: activity.oldest(tx, wanted))

    async def story(self) -> list[Entry]:
        """What became of grants, oldest first."""
        return [event for event in await self.events() if event.operation.startswith("Jitgate.Access/grants/")]

    async def state(self, name: str) -> Scope:
        """What the reconciler knows of a machine's firewall."""
        found = await self.store.read(lambda tx: scopes.get(tx, self.machine(name).scope))
        assert found is not None
        return found

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        statement = select(func.count()).select_from(metadata.tables[table])
        return await self.store.read(lambda tx: int(tx.execute(statement).scalar_one()))

    async def generation(self, name: str) -> int:
        return (await self.state(name)).generation

    def connect(self, name: str, source: str = HERE, port: int = 22) -> Session:
        """An established connection to a machine."""
        known = self.machine(name)
        session = self.firewall.connect(known.scope, PortKey(known.uuid, port, IpProtocol.TCP), source)
        assert session is not None
        return session

    def carries(self, session: Session) -> bool:
        """Whether an established connection still carries data."""
        known = next(machine for machine in self.machines if machine.uuid == session.target.machine)
        return self.firewall.carries(known.scope, session)

    def reaches(self, name: str, source: str = HERE, port: int = 22, protocol: IpProtocol = IpProtocol.TCP) -> bool:
        """Whether a new connection to a machine gets through its firewall."""
        known = self.machine(name)
        return self.firewall.reaches(known.scope, PortKey(known.uuid, port, protocol), source)

    def machine(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)


def machine(
    name: str,
    *,
    uuid: str = "",
    group: str = "jitgate",
    scope: str = "",
    connector: str = "memory",
    os: OperatingSystem = OperatingSystem.LINUX,
    tags: Mapping[str, str] | None = None,
    unsupported: str = "",
) -> Machine:
    """A machine behind a firewall of its own."""
    return Machine(
        uuid=uuid or f"uuid-of-{name}",
        id=machine_id(SUBSCRIPTION, group, name),
        name=name,
        os=os,
        connector=connector,
        provider="memory",
        scope=scope or f"{connector}/{name}",
        addresses=("10.0.0.1",),
        tags=tags or {},
        unsupported=unsupported,
    )


def part(name: str, *ports: PortRule, group: str = "jitgate") -> MachinePolicy:
    """A policy's part about one machine; port 22 unless told otherwise."""
    return MachinePolicy(parse_machine_id(machine_id(SUBSCRIPTION, group, name), "machine"), ports or (port(),))


def port(
    number: int = 22, protocol: IpProtocol = IpProtocol.TCP, sources: Sequence[str] = ("*",), longest: str = "PT3H"
) -> PortRule:
    """A protected port: TCP, from anywhere, up to three hours unless told otherwise."""
    return PortRule(
        number, protocol, prefixes.parse_all(sources, "sources"), tuple(sources), duration.parse(longest, "longest")
    )


def policy(*parts: MachinePolicy, name: str = "default") -> Policy:
    return Policy(policy_id(name), parts)


def policy_id(name: str = "default") -> PolicyId:
    return PolicyId(SUBSCRIPTION, "jitgate", "global", name)


def ask(
    *names: str,
    ports: Sequence[int] = (22,),
    sources: Sequence[str] = (HERE,),
    span: Span | None = None,
    caller: Prefix | None = None,
    start: datetime | None = None,
    why: str = "deploy",
) -> Ask:
    """What somebody asks for: the same ports of each machine, by its name or its id."""
    wanted = prefixes.parse_all(sources, "sources")
    return Ask(
        tuple(
            MachineAsk(
                parse_machine_id(
                    name if name.startswith("/") else machine_id(SUBSCRIPTION, "jitgate", name), "machine"
                ),
                tuple(
                    PortAsk(number, wanted, span, field=f"virtualMachines[{at}].ports[{position}]")
                    for position, number in enumerate(ports)
                ),
                f"virtualMachines[{at}]",
            )
            for at, name in enumerate(names)
        ),
        why,
        caller,
        start,
    )


def limited(asker: Asker, limit: Limit) -> Asker:
    """The same person, with a credential that is good for less."""
    return replace(asker, principal=replace(asker.principal, limit=limit))


def lasting(text: str) -> Span:
    """A duration, such as ``2h``, counted from opening."""
    return Span(duration=duration.parse_short(text, "duration"))


def until(end: datetime) -> Span:
    """An absolute end."""
    return Span(end=end)
