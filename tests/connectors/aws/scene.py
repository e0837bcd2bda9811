"""A region with a few instances: moto behind our strictness, the connector, and a house that drives it."""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import boto3
import botocore.loaders
from moto import mock_aws
from tests.house import SUBSCRIPTION, House, port

from jitgate.connectors.aws.calls import Accounts
from jitgate.connectors.aws.connector import AwsConnector
from jitgate.connectors.aws.settings import Settings
from jitgate.connectors.aws.world import MARK
from jitgate.core.access import Grant, Span
from jitgate.core.desired import Protocol
from jitgate.core.machine import Machine
from jitgate.core.policy import MachinePolicy
from jitgate.core.resource_id import parse_machine_id
from jitgate.service import alterations, machines
from jitgate.testing.aws.strict import StrictEc2, Weather

REGION = "eu-west-1"
ANYWHERE = "0.0.0.0/0"
BOB = "198.51.100.7"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",  # Thousands of images, anew for each test.
}
LOADER = botocore.loaders.create_loader()
"""What botocore knows of Amazon's services: read once, for all sessions."""
Json = dict[str, Any]


class Scene:
    """AWS, and jitgate before it. `client` is moto's own: the hands of others."""

    def __init__(self, *names: str, settings: Settings | None = None, connector: str = "aws") -> None:
        self._around = ExitStack()
        self._around.enter_context(patch.dict("os.environ", CREDENTIALS))
        self._around.enter_context(patch("botocore.session.create_loader", lambda _path: LOADER))
        self._around.enter_context(mock_aws())
        self.weather = Weather()
        self.settings = settings or Settings((REGION,))
        self.client = boto3.client("ec2", region_name=REGION)
        self.vpc = self.client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.client.create_subnet(VpcId=self.vpc, CidrBlock="10.0.16.0/20")["Subnet"]["SubnetId"]
        self.shared = self.add_group("web")
        self.instances = {name: self.add_instance(name) for name in names or ("web-1", "web-2")}
        self.house = House(machines=())
        self.name = connector
        self.connector = self.make_connector()
        self.house.connectors = {connector: self.connector}
        self.house.reconciler = self.house.make_reconciler("first")

    def make_connector(self) -> AwsConnector:
        """A connector as a new process would have it."""
        accounts = Accounts(self.settings, self.house.clock.elapsed, self._strict)
        return AwsConnector(self.name, self.settings, (SUBSCRIPTION, "jitgate"), self.house.clock, accounts)

    def _strict(self, client: Any, _region: str) -> StrictEc2:
        return StrictEc2(client, self.weather)

    async def __aenter__(self) -> Self:
        await self.house.__aenter__()
        await self.discover()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connector.close()
        self.house.close()
        self._around.close()

    # --- others' hands --------------------------------------------------------------------------------

    def add_group(self, name: str) -> str:
        made: str = self.client.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        return made

    def add_instance(self, name: str, groups: Sequence[str] = (), **more: Any) -> str:
        found = self.client.run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnet,
            SecurityGroupIds=list(groups or (self.shared,)),
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
            **more,
        )
        made: str = found["Instances"][0]["InstanceId"]
        return made

    def add_many(self, count: int) -> None:
        """So many instances at once, that are of no interest but for their number."""
        self.client.run_instances(
            ImageId="ami-12c6146b", MinCount=count, MaxCount=count, SubnetId=self.subnet, SecurityGroupIds=[self.shared]
        )

    def allow(
        self,
        source: str,
        first: int = 22,
        last: int | None = None,
        *,
        group: str = "",
        protocol: str = "tcp",
        says: str = "",
    ) -> None:
        """Somebody else lets a source in."""
        name, key = ("Ipv6Ranges", "CidrIpv6") if ":" in source else ("IpRanges", "CidrIp")
        bounds = {} if protocol == "-1" else {"FromPort": first, "ToPort": last or first}
        given = {"IpProtocol": protocol, **bounds, name: [{key: source} | ({"Description": says} if says else {})]}
        self.client.authorize_security_group_ingress(GroupId=group or self.shared, IpPermissions=[given])

    def attach(self, name: str, group: str) -> None:
        """Somebody else puts a group on an instance, beside those that it has."""
        held = [*dict.fromkeys([*self.groups_of(name), group])]
        [interface] = self.client.describe_network_interfaces(
            Filters=[{"Name": "attachment.instance-id", "Values": [self.instances[name]]}]
        )["NetworkInterfaces"]
        strict = StrictEc2(self.client, self.weather)
        strict.modify_network_interface_attribute(NetworkInterfaceId=interface["NetworkInterfaceId"], Groups=held)

    def terminate(self, name: str) -> None:
        """The instance goes, and as with Amazon its interfaces go with it: moto keeps those."""
        instance = self.instances[name]
        found = self.client.describe_network_interfaces(
            Filters=[{"Name": "attachment.instance-id", "Values": [instance]}]
        )["NetworkInterfaces"]
        self.client.terminate_instances(InstanceIds=[instance])
        for each in found:
            self.client.delete_network_interface(NetworkInterfaceId=each["NetworkInterfaceId"])

    # --- what jitgate does ----------------------------------------------------------------------------

    async def discover(self) -> None:
        self.house.machines = list(await self.connector.discover())
        await machines.take_over(self.house.service, self.house.machines, self.name)
        await self.house.settle()

    def machine(self, name: str) -> Machine:
        return self.house.machine(name)

    def part(self, name: str, *ports: int) -> MachinePolicy:
        made = parse_machine_id(self.machine(name).id, "machine")
        rules = tuple(port(number, Protocol.TCP) for number in ports or (22,))
        return MachinePolicy(made, rules)

    async def protect(self, *names: str, ports: Sequence[int] = (22,)) -> None:
        """Have a policy say just this, and have it stand as far as nobody has to agree."""
        await self.house.put(*(self.part(name, *ports) for name in names))

    async def open(self, name: str, *sources: str, number: int = 22, span: Span | None = None) -> Grant:
        """Have a port open for some sources."""
        return await self.house.open(self.instances[name], port=number, sources=sources or (BOB,), span=span)

    async def release(self) -> None:
        await self.house.put()

    async def agree(self, name: str) -> None:
        """Agree to what waits, and have it stand."""
        await self.agree_only(name)
        await self.house.settle()

    async def agree_only(self, name: str) -> None:
        """Agree to what waits, and reconcile nothing."""
        found = await alterations.get_alterations(self.house.service, self.house.alice, name)
        await alterations.agree(self.house.service, self.house.alice, name, found.digest)

    def begin_anew(self) -> None:
        """What a process does that was killed and starts: all that it knew is gone."""
        self.house.connectors[self.name] = self.connector = self.make_connector()
        self.house.crash()

    async def pass_time(self, by: timedelta) -> None:
        await self.house.pass_time(by)

    # --- what stands ----------------------------------------------------------------------------------

    def rules(self, group: str) -> list[Json]:
        """What a group lets in, as Amazon tells it."""
        found = self.client.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
        return [each for each in found["SecurityGroupRules"] if not each["IsEgress"]]

    def lets(self, group: str) -> set[tuple[str, int, int, str]]:
        """The same, in short."""
        return {
            (
                each["IpProtocol"],
                each.get("FromPort", -1),
                each.get("ToPort", -1),
                each.get("CidrIpv4") or each.get("CidrIpv6") or each.get("ReferencedGroupInfo", {}).get("GroupId", ""),
            )
            for each in self.rules(group)
        }

    def own_group(self, name: str) -> str | None:
        """The group that jitgate made for an instance."""
        instance = self.instances[name]
        found = self.client.describe_security_groups(Filters=[{"Name": f"tag:{MARK}", "Values": [instance]}])
        return found["SecurityGroups"][0]["GroupId"] if found["SecurityGroups"] else None

    def own(self, name: str) -> set[tuple[str, int, int, str]]:
        """What an instance's own group lets in."""
        group = self.own_group(name)
        return self.lets(group) if group else set()

    def lets_out(self, name: str) -> list[Json]:
        """What an instance's own group lets out."""
        group = self.own_group(name)
        found: list[Json] = self.client.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        return [each for one in found for each in one["IpPermissionsEgress"]]

    def groups_of(self, name: str) -> list[str]:
        """The groups of an instance's interfaces."""
        found = self.client.describe_network_interfaces(
            Filters=[{"Name": "attachment.instance-id", "Values": [self.instances[name]]}]
        )
        return [each["GroupId"] for one in found["NetworkInterfaces"] for each in one["Groups"]]

    async def problems(self, name: str) -> set[str]:
        """Why ports of a machine are not shut; {""}: they are."""
        view = await machines.get_machine(self.house.service, self.house.alice, name)
        return set(view.protected.values())
