"""The hands of others in a region: networks, groups and machines."""

import boto3


class Region:
    """A region that answers at `url`. `client`: Amazon's own for EC2."""

    name = "eu-west-1"

    def __init__(self, url: str) -> None:
        self.client = boto3.client("ec2", region_name=self.name, endpoint_url=url)
        self._vpc = self._subnet = ""
        self._groups: dict[str, str] = {}

    def add_network(self, network: str, subnet: str) -> None:
        """A network with one subnet, which is where machines and groups are from then on."""
        made = self.client.create_vpc(CidrBlock=network, AmazonProvidedIpv6CidrBlock=True)
        self._vpc = made["Vpc"]["VpcId"]
        self._subnet = self.client.create_subnet(VpcId=self._vpc, CidrBlock=subnet)["Subnet"]["SubnetId"]

    def add_group(self, name: str, port: int) -> None:
        """A group that lets everybody in at one port."""
        made = self.client.create_security_group(GroupName=name, Description=name, VpcId=self._vpc)
        self._groups[name] = made["GroupId"]
        sources = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **sources}
        self.client.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=[rule])

    def add_machine(self, name: str, group: str, four: str, six: str) -> None:
        """An instance that runs, with one interface of two addresses."""
        interface = self.client.create_network_interface(
            SubnetId=self._subnet,
            PrivateIpAddress=four,
            Ipv6Addresses=[{"Ipv6Address": six}],
            Groups=[self._groups[group]],
        )["NetworkInterface"]["NetworkInterfaceId"]
        self.client.run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface}],
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
        )
