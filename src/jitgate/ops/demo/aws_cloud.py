"""AWS in front of the demo's machines: moto, whose security groups are in force."""

import os
from contextlib import ExitStack
from importlib.util import find_spec

from jitgate.core.errors import Unavailable
from jitgate.ops.demo.cloud_story import Cloud
from jitgate.ops.demo.network import Network

_SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_EC2_METADATA_DISABLED": "true",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
}


def put_in_front(built: Network, router: str, serving: ExitStack) -> Cloud:
    """Both machines in one group of others, which lets everybody in. Raises Unavailable."""
    if find_spec("boto3") is None or find_spec("moto") is None:
        raise Unavailable(
            "AWS needs packages that are not installed: pip install 'jitgate[aws]' 'moto[ec2,server,sts]'."
        )
    # Of what runs here, and of each process that it starts: never of somebody's account.
    os.environ.update(_ENVIRONMENT)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    from jitgate.testing.aws.data_plane import DataPlane
    from jitgate.testing.aws.region import Region
    from jitgate.testing.aws.server import serve

    answered = serving.enter_context(serve())
    region = Region(answered.url)
    region.add_network("192.0.2.0/24", "192.0.2.0/25")
    region.add_group("web", 22)
    for machine in built.machines:
        region.add_machine(machine.name, "web", *machine.addresses)
    plane = DataPlane(region.client, router)
    plane.sync()
    answered.after = plane.sync
    settings = ("--set", f"regions={region.name}", "--set", f"endpoint={answered.url}")
    adding = ("--subscription", _SUBSCRIPTION, "--group", "aws", *settings)
    before = answered.calls
    return Cloud("aws", adding, settings, lambda: answered.calls - before, consents=True)
