"""Azure in front of the demo's machines: a fake, whose security groups are in force."""

from contextlib import ExitStack
from importlib.util import find_spec

from jitgate.clock import SystemClock
from jitgate.core.errors import Unavailable
from jitgate.ops.demo.cloud_story import Cloud
from jitgate.ops.demo.network import Network
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.data_plane import DataPlane
from jitgate.testing.azure.scene import SUBSCRIPTION, Scene, rule
from jitgate.testing.azure.server import serve


def put_in_front(built: Network, router: str, serving: ExitStack) -> Cloud:
    """Both machines in one subnet, whose group lets everybody in. Raises Unavailable."""
    if find_spec("azure") is None:
        raise Unavailable("Azure needs packages that are not installed: pip install 'jitgate[azure]'.")
    arm = Arm(SystemClock())
    _furnish(Scene(arm), built)
    plane = DataPlane(arm.world, router, router)
    plane.sync()
    arm.after = plane.sync
    url = serving.enter_context(serve(arm))
    words = ("--subscription", SUBSCRIPTION, "--set", f"endpoint={url}", "--set", "credential=none")
    return Cloud("azure", words, words, lambda: len(arm.calls.made))


def _furnish(scene: Scene, built: Network) -> None:
    group = scene.nsg("web-nsg", rule("ssh-from-anywhere", 300))
    subnet = scene.subnet(scene.vnet("net", "192.0.2.0/24", "2001:db8::/64"), "web", "192.0.2.0/25", nsg=group)
    for machine in built.machines:
        scene.vm(machine.name, scene.nic(f"{machine}-nic", subnet, *machine.addresses))
