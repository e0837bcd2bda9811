"""Our own connectors on the stage of `jitgate.testing.contract`."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest.mock import patch

from tests.connectors.aws.scene import Scene as AwsScene
from tests.connectors.azure.scene import AzureHouse, allow
from tests.connectors.gateway.scene import Echo, echoes
from tests.connectors.gateway.scene import Scene as GatewayScene
from tests.house import machine
from tests.netns import ALICE4, ALICE4_SECOND, ALICE6, BOB4, BOB6, HOST4, HOST6, Namespace, Network
from tests.stateful.nftables import EnforcerConnector, SteppedClock

from jitgate.agent.gateway import GatewayPost
from jitgate.clock import Clock, ManualClock
from jitgate.connectors.aws import ranges, world
from jitgate.connectors.azure import arm as arm_calls
from jitgate.connectors.azure import connector as azure_connector
from jitgate.connectors.base import Connector, Done, Memory, Outcome, Plan
from jitgate.connectors.hosts.enforcer import Enforcer
from jitgate.connectors.hosts.table import Purpose
from jitgate.connectors.memory import MemoryConnector
from jitgate.connectors.steps import steps
from jitgate.core import prefixes
from jitgate.core.desired import Desired, PortKey, Protocol
from jitgate.core.machine import Machine
from jitgate.testing.aws.strict import READS, StrictEc2
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.server import serve
from jitgate.testing.contract import Sources, Stage, lethal

START = datetime(2030, 1, 1, tzinfo=UTC)


class MemoryStage(Stage):
    """What stands is in memory, and stays there when a process ends."""

    is_open, fences = True, True

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self._machine = machine("web-1")
        self.machine = self._machine.name
        self.connector: MemoryConnector = MemoryConnector(self.clock, [self._machine])
        self.connector.add_foreign("http", 80, 80, prefixes.ANY_IPV4, self._machine.scope)

    def reaches(self, port: int, protocol: Protocol, source: str) -> bool:
        return self.connector.reaches(self._machine.scope, PortKey(self._machine.uuid, port, protocol), source)

    def ours(self) -> object:
        firewall = self.connector._firewall(self._machine.scope)
        return dict(firewall.protected), self.connector.standing(self._machine.scope)

    def others(self) -> object:
        return dict(self.connector._foreign), set(self.connector._altered)

    def wipe(self) -> None:
        self.connector.flush(self._machine.scope)

    def restart(self) -> None:
        """What is in memory stands by itself."""

    def die_at(self, moment: int) -> contextlib.AbstractContextManager[Any]:
        return patch.object(self.connector, "_carry_out", lethal(moment, self.connector._carry_out))


class AwsStage(Stage):
    """An instance in moto's EC2, in a group of others that lets nobody in to a protected port.

    A rule that is gone is written again and not spoken of: nothing tells it from one that was never written. A client
    takes so long to make that not every death is died.
    """

    tells_repairs = False
    moments_apart = 5

    def __init__(self, scene: AwsScene) -> None:
        self.scene = scene
        self.clock = scene.house.clock
        self.machine = f"web-{len(scene.instances) + 1}"

    def __enter__(self) -> "AwsStage":
        super().__enter__()
        self._group = self.scene.add_group(f"of {self.machine}")
        self.scene.instances[self.machine] = self.scene.add_instance(self.machine, (self._group,))
        self.scene.allow("0.0.0.0/0", 80, group=self._group, says="everybody")
        self.scene.allow("198.51.100.9/32", 8022, group=self._group, says="jitgate until 2030-01-01T01:00:00Z")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.scene.terminate(self.machine)
        super().__exit__(kind, error, trace)

    @property
    def connector(self) -> Connector:  # type: ignore[override]
        self.scene.connector._read.clear()  # It counts for some seconds; here time stands still.
        return self.scene.connector

    def reaches(self, port: int, protocol: Protocol, source: str) -> bool:
        groups = set(self.scene.groups_of(self.machine))
        found = self.scene.client.describe_security_group_rules()["SecurityGroupRules"]
        rules = [rule for rule in map(world.rule, found) if rule.group in groups and not rule.is_egress]
        return any(_lets(rule, port, protocol, source) for rule in rules)

    def ours(self) -> object:
        own = self.scene.own_group(self.machine)
        return own, sorted(str(rule["Tags"]) for rule in self.scene.rules(own)) if own else []

    def others(self) -> object:
        own = self.scene.own_group(self.machine)
        return self.scene.rules(self._group), [each for each in self.scene.groups_of(self.machine) if each != own]

    def wipe(self) -> None:
        own = self.scene.own_group(self.machine)
        assert own is not None
        rules = [rule["SecurityGroupRuleId"] for rule in self.scene.rules(own)]
        self.scene.client.revoke_security_group_ingress(GroupId=own, SecurityGroupRuleIds=rules)

    def restart(self) -> None:
        self.run(self.scene.connector.close())
        self.scene.connector = self.scene.make_connector()

    def die_at(self, moment: int) -> contextlib.AbstractContextManager[Any]:
        real = StrictEc2._carry_out
        deadly = lethal(moment, real)

        def carry_out(client: StrictEc2, operation: str, given: dict[str, Any]) -> Any:
            return (real if operation.startswith(READS) else deadly)(client, operation, given)

        return patch.object(StrictEc2, "_carry_out", carry_out)


def _lets(rule: world.Rule, port: int, protocol: Protocol, source: str) -> bool:
    cidr = rule.source.get("CidrIpv4") or rule.source.get("CidrIpv6")
    covers = cidr is not None and prefixes.covers(prefixes.canonical(cidr), prefixes.of_address(source))
    return covers and ranges.covers(rule.part, protocol, port)


class AzureStage(Stage):
    """A machine in the fake Azure, behind one group, in which others have rules."""

    machine = "vm-1"
    addresses: Mapping[int, str] = {4: "10.0.0.4", 6: "fd00::4"}

    def __enter__(self) -> "AzureStage":
        super().__enter__()
        with contextlib.ExitStack() as opened:
            # What was listed counts for some seconds; here time stands still.
            opened.enter_context(patch.object(azure_connector, "SWEEP_SECONDS", 0))
            self.clock = ManualClock(START)
            arm = Arm(self.clock)
            self.house = AzureHouse(arm, opened.enter_context(serve(arm)), self.clock)
            opened.callback(self.house.close)
            self._build()
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self.house.cloud.close())
        self._opened.close()
        super().__exit__(kind, error, trace)

    @property
    def connector(self) -> Connector:  # type: ignore[override]
        return self.house.cloud

    def reaches(self, port: int, protocol: Protocol, source: str) -> bool:
        address = self.addresses[6 if ":" in source else 4]
        return self.house.passes(self._group, address, source, port, protocol)

    def ours(self) -> object:
        return {name: _said(rule) for name, rule in self.house.ours(self._group).items()}

    def others(self) -> object:
        ours = self.house.ours(self._group)
        return {name: _said(rule) for name, rule in self.house.scene.rules(self._group).items() if name not in ours}

    def wipe(self) -> None:
        for name in self.house.ours(self._group):
            self.house.scene.remove_rule(self._group, name)

    def restart(self) -> None:
        self.run(self.house.cloud.close())
        self.house.cloud = self.house.make_cloud()

    def die_at(self, moment: int) -> contextlib.AbstractContextManager[Any]:
        real = arm_calls.Arm._send
        deadly = lethal(moment, real)

        def send(arm: arm_calls.Arm, method: str, url: str, body: Any, headers: dict[str, str]) -> Any:
            return (real if method == "GET" else deadly)(arm, method, url, body, headers)

        return patch.object(arm_calls.Arm, "_send", send)

    def _build(self) -> None:
        scene = self.house.scene
        self._group = scene.nsg("inner", allow("Web", 300, "80"), allow("jit-ssh", 310, "8022"))
        vnet = scene.vnet("net", "10.0.0.0/16", "fd00::/48")
        subnet = scene.subnet(vnet, "default", "10.0.0.0/24", "fd00::/64", nsg=self._group)
        scene.vm(self.machine, scene.nic("nic-1", subnet, *self.addresses.values()))


def _said(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name not in ("etag", "provisioningState")}


class NftStage(Stage):
    """The kernel's firewall in a namespace, met by real packets in real time. `network` listens on the ports."""

    machine = "web-1"
    hour = timedelta(seconds=4)
    is_open, fences = True, True
    tells_repairs = False  # It is put right at once, and told unasked.
    sources = Sources(ALICE4, ALICE4_SECOND, "10.71.1.0/24", BOB4, ALICE6, BOB6)
    _PATIENCE = 0.08
    """Seconds until a port without an answer counts as shut; an open one answers within a few milliseconds."""

    def __init__(self, network: Network, directory: Path) -> None:
        self._network, self._directory = network, directory
        self.clock = SteppedClock()
        self._machine = machine(self.machine)

    def __enter__(self) -> "NftStage":
        super().__enter__()
        self._network.host.nft(
            "add table inet theirs; add chain inet theirs jitgate { type filter hook input priority 5; }"
        )
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connector.enforcer.close()
        self._network.host.nft("flush ruleset")
        super().__exit__(kind, error, trace)

    def reaches(self, port: int, protocol: Protocol, source: str) -> bool:
        client, address = self._client(source), HOST6 if ":" in source else HOST4
        knock = client.can_connect if protocol is Protocol.TCP else client.can_exchange
        return knock(address, port, timeout=self._PATIENCE, source=source)

    def ours(self) -> object:
        listed = self._network.host.run("nft", "--stateless", "list", "ruleset")
        return listed.partition("table inet jitgate {")[2]

    def others(self) -> object:
        return self._network.host.run("nft", "list", "table", "inet", "theirs")

    def wipe(self) -> None:
        """As nftables.service does when it is reloaded; the kernel refuses to flush a table that has an owner."""
        with contextlib.suppress(AssertionError):
            self._network.host.nft("delete table inet jitgate")

    def restart(self) -> None:
        self.connector.enforcer.close()
        self._begin()

    @contextlib.contextmanager
    def die_at(self, moment: int) -> Iterator[None]:
        nft = self.connector.enforcer._kernel.nft
        real, deadly = nft.run, lethal(moment, nft.run)

        def run(commands: list[str]) -> None:
            """What the enforcer's own thread does, when a deadline comes, is not what dies here."""
            alone = threading.current_thread().name.startswith("enforcer-")
            (real if alone else deadly)(commands)

        with patch.object(nft, "run", run):
            yield

    def _begin(self) -> None:
        enforcer = Enforcer(
            self._machine.scope, self._machine.uuid, self._network.host.name, self._directory, self.clock
        )
        enforcer.start()
        self.connector: FoundEnforcer = FoundEnforcer(enforcer, self.clock, self._machine)

    def _client(self, source: str) -> Namespace:
        return self._network.bob if source in (BOB4, BOB6) else self._network.alice


class FoundEnforcer(EnforcerConnector):
    """With the host that it is on."""

    def __init__(self, enforcer: Enforcer, clock: Clock, found: Machine) -> None:
        super().__init__(enforcer, clock)
        self._found = found

    async def discover(self) -> list[Machine]:
        return [self._found]


class GatewayStage(Stage):
    """A real gateway on loopback, and a machine behind it that answers at two ports. Nobody gets there but through it.

    The process that is restarted, and dies, is the server's: the gateway's own outlives it, and what it holds nobody
    else can take away.
    """

    hour = timedelta(seconds=4)
    fences = True
    proves_shut, tells_repairs = False, False
    protocols = (Protocol.TCP,)
    sources = Sources("127.0.0.2", "127.0.0.3", "127.0.0.0/29", "127.0.0.40", "::1", "")

    def __init__(self, directory: Path) -> None:
        self._scene = GatewayScene(directory)
        self._second = Echo()
        self.clock = self._scene.clock
        self.ports = (self._scene.key.port, self._second.port)
        self._machine = replace(machine("win-1"), uuid=self._scene.key.machine, scope=self._scene.place.scope)
        self.machine = self._machine.name
        self.restart()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._second.close()
        self._scene.__exit__(kind, error, trace)
        super().__exit__(kind, error, trace)

    def reaches(self, port: int, protocol: Protocol, source: str) -> bool:
        mapped = self._scene.post._gateway._mapped.of(PortKey(self._machine.uuid, port, Protocol.TCP))
        if protocol is Protocol.UDP or mapped is None or (made := self._scene.try_to_connect(source, mapped)) is None:
            return False
        with made:
            return echoes(made)

    def ours(self) -> object:
        gateway = self._scene.post._gateway
        return dict(gateway._mirror.held(Purpose.OPEN)), dict(gateway._protected), set(gateway._doors)

    def others(self) -> object:
        return self.ports

    def wipe(self) -> None:
        """Nobody can."""

    def restart(self) -> None:
        self.connector = PostConnector(self._scene.post, self.clock, self._machine)

    def die_at(self, moment: int) -> contextlib.AbstractContextManager[Any]:
        return patch.object(self._scene.post, "sync", lethal(moment, self._scene.post.sync))


class PostConnector:
    """A gateway's post as a connector, without a link between."""

    name = "memory"
    whole_ports = False

    def __init__(self, post: GatewayPost, clock: Clock, found: Machine) -> None:
        self._post, self._clock, self._found = post, clock, found

    async def discover(self) -> list[Machine]:
        return [self._found]

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        return Plan(desired, steps(desired), memory=memory)

    async def apply(self, plan: Plan) -> Outcome:
        return Done(self._post.sync(plan.desired, self._clock.elapsed()))
