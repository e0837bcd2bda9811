"""The groups put in force by the kernel between namespaces: what opens and closes is proven by real connections."""

from collections.abc import Iterator

import pytest
from tests.connectors.aws.scene import ANYWHERE, Json, Scene
from tests.netns import ALICE4, HOST4, Network, echoes

from jitgate.testing.aws.data_plane import accepts

pytestmark = pytest.mark.needs_root
PORT = 22


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made, made.host.listen(PORT):
        yield made


def enforce(network: Network, scene: Scene, name: str) -> None:
    """Put in force what an instance's groups say, as Amazon does: what is established goes on."""
    found: list[Json] = scene.client.describe_security_group_rules()["SecurityGroupRules"]
    groups = set(scene.groups_of(name))
    lines = "\n".join(f"    {line}" for line in accepts(each for each in found if each["GroupId"] in groups))
    network.host.nft(
        "add table inet groups\ndelete table inet groups\ntable inet groups {\n  chain inbound {\n"
        "    type filter hook input priority 0; policy drop;\n    ct state established,related accept\n"
        f"    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept\n{lines}\n  }}\n}}"
    )


async def test_a_port_opens_for_its_source_only_and_a_session_outlives_its_grant(
    network: Network, scene: Scene
) -> None:
    alice, bob = network.alice, network.bob
    scene.allow(ANYWHERE, 0, 1023)
    enforce(network, scene, "web-1")
    assert alice.can_connect(HOST4, PORT)
    await scene.protect("web-1")
    await scene.agree("web-1")
    enforce(network, scene, "web-1")
    assert not alice.can_connect(HOST4, PORT)
    grant = await scene.open("web-1", ALICE4)
    enforce(network, scene, "web-1")
    assert not bob.can_connect(HOST4, PORT)
    with alice.connect(HOST4, PORT) as session:
        assert echoes(session)
        await scene.house.close_early(grant.uid)
        enforce(network, scene, "web-1")
        assert not alice.can_connect(HOST4, PORT)
        assert echoes(session), "tracked, so it goes on: which is what machines say of themselves"
    await scene.release()
    enforce(network, scene, "web-1")
    assert bob.can_connect(HOST4, PORT), "the original is back"
