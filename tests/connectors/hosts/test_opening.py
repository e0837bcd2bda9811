"""Who gets in, seen from where a packet starts."""

import socket
import struct
from datetime import timedelta

import pytest
from tests.connectors.hosts.scene import END, KEEP, MACHINE, PORT, SCOPE, Scene, key, port_key
from tests.netns import ALICE4, ALICE4_SECOND, ALICE6, ALICE6_SECOND, HOST4, HOST6, Namespace, family_of

from jitgate.connectors.base import ConnectorError, GenerationBehind
from jitgate.core.desired import Desired, Protocol

pytestmark = pytest.mark.needs_root


def ping(client: Namespace, address: str) -> bool:
    """Whether an ICMP echo request is answered."""
    request, answer, protocol = (128, 129, socket.IPPROTO_ICMPV6) if ":" in address else (8, 0, socket.IPPROTO_ICMP)
    with client.inside(lambda: socket.socket(family_of(address), socket.SOCK_RAW, protocol)) as raw:
        raw.settimeout(30)
        raw.sendto(struct.pack(">BBHHH", request, 0, 0xFFFE - (request << 8), 0, 1), (address, 0))
        # A raw IPv4 socket shows the IP header as well, and what else arrives.
        return any(raw.recv(256)[0 if ":" in address else 20] == answer for _ in range(3))


def test_a_protected_port_is_shut_for_everybody(scene: Scene) -> None:
    alice = scene.network.alice
    assert not alice.can_connect(HOST4, PORT)
    assert not alice.can_connect(HOST6, PORT)
    assert not alice.can_exchange(HOST4, PORT)
    assert not alice.can_exchange(HOST6, PORT)


def test_a_port_that_is_not_protected_is_left_alone(scene: Scene) -> None:
    with scene.network.host.listen(PORT + 1):
        assert scene.network.alice.can_connect(HOST4, PORT + 1)
        assert scene.network.alice.can_connect(HOST6, PORT + 1)


def test_the_host_reaches_its_own_protected_port(scene: Scene) -> None:
    assert scene.network.host.can_connect("127.0.0.1", PORT)
    assert scene.network.host.can_connect(HOST4, PORT)
    assert scene.network.host.can_connect(HOST6, PORT)


def test_icmp_passes_untouched(scene: Scene) -> None:
    assert ping(scene.network.alice, HOST4)
    assert ping(scene.network.alice, HOST6)


def test_an_opened_port_lets_in_this_source_only(scene: Scene) -> None:
    scene.open(f"{ALICE4}/32")
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert not scene.network.alice.can_connect(HOST4, PORT, source=ALICE4_SECOND)
    assert not scene.network.bob.can_connect(HOST4, PORT)
    assert not scene.network.alice.can_connect(HOST6, PORT), "an IPv4 grant opened the IPv6 twin (case PV6)"
    assert not scene.network.alice.can_exchange(HOST4, PORT), "a TCP grant opened UDP"


def test_ipv6_opens_for_this_source_only(scene: Scene) -> None:
    scene.open(f"{ALICE6}/128")
    assert scene.network.alice.can_connect(HOST6, PORT)
    assert not scene.network.alice.can_connect(HOST6, PORT, source=ALICE6_SECOND)
    assert not scene.network.bob.can_connect(HOST6, PORT)
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_udp_opens_for_this_source_only(scene: Scene) -> None:
    scene.open(f"{ALICE4}/32", f"{ALICE6}/128", protocol=Protocol.UDP)
    assert scene.network.alice.can_exchange(HOST4, PORT)
    assert scene.network.alice.can_exchange(HOST6, PORT)
    assert not scene.network.bob.can_exchange(HOST4, PORT)
    assert not scene.network.bob.can_exchange(HOST6, PORT)
    assert not scene.network.alice.can_connect(HOST4, PORT)


@pytest.mark.parametrize("prefix", ["0.0.0.0/0", "10.0.0.0/8", "10.71.0.0/16", "10.71.1.0/24", "10.71.1.2/31"])
def test_every_ipv4_prefix_length_lets_in_what_it_holds(scene: Scene, prefix: str) -> None:
    scene.open(prefix)
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert scene.network.bob.can_connect(HOST4, PORT) == (prefix in {"0.0.0.0/0", "10.0.0.0/8", "10.71.0.0/16"})


@pytest.mark.parametrize("prefix", ["::/0", "fd71::/16", "fd71:1::/64", "fd71:1::2/127"])
def test_every_ipv6_prefix_length_lets_in_what_it_holds(scene: Scene, prefix: str) -> None:
    scene.open(prefix)
    assert scene.network.alice.can_connect(HOST6, PORT)
    assert scene.network.bob.can_connect(HOST6, PORT) == (prefix in {"::/0", "fd71::/16"})


def test_a_wide_and_a_narrow_prefix_stand_side_by_side_each_with_its_own_end(scene: Scene) -> None:
    """Cases OV1 and OV6: nothing is refused as overlapping, and the end of one is not the end of the other."""
    scene.open("10.71.1.0/24")
    scene.open(f"{ALICE4}/32")
    scene.shut("10.71.1.0/24")
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert not scene.network.alice.can_connect(HOST4, PORT, source=ALICE4_SECOND)
    scene.open("10.71.0.0/16")
    scene.shut(f"{ALICE4}/32")
    assert scene.network.alice.can_connect(HOST4, PORT)


def test_asking_twice_is_asking_once(scene: Scene) -> None:
    """Case OV3."""
    end = scene.open(f"{ALICE4}/32")
    report = scene.ask({key(f"{ALICE4}/32"): end})
    assert report.standing == {key(f"{ALICE4}/32"): end}
    assert scene.ruleset().count(f"{ALICE4} . tcp . {PORT}") == 1
    assert scene.shut(f"{ALICE4}/32").shut == scene.shut(f"{ALICE4}/32").shut == {key(f"{ALICE4}/32")}
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_an_incomplete_state_leaves_alone_what_it_does_not_list(scene: Scene) -> None:
    scene.open(f"{ALICE4}/32")
    scene.open(f"{ALICE6}/128")
    assert scene.network.alice.can_connect(HOST4, PORT)


def test_a_complete_state_shuts_everything_that_it_does_not_list(scene: Scene) -> None:
    """Case CL9."""
    scene.open(f"{ALICE4}/32", "10.71.0.0/16")
    end = scene.open(f"{ALICE6}/128")
    report = scene.ask({key(f"{ALICE6}/128"): end}, complete=True)
    assert report.complete
    assert report.standing == {key(f"{ALICE6}/128"): end}
    assert not scene.network.alice.can_connect(HOST4, PORT)
    assert scene.network.alice.can_connect(HOST6, PORT)


def test_an_end_that_is_past_is_shut(scene: Scene) -> None:
    now = scene.clock.wall()
    report = scene.ask({key(f"{ALICE4}/32"): now, key(f"{ALICE6}/128"): now + timedelta(microseconds=900)})
    assert report.shut == {key(f"{ALICE4}/32"), key(f"{ALICE6}/128")}
    assert ALICE4 not in scene.ruleset(), "an element without a timeout never ends"


def test_no_key_of_another_machine_ever_stands(scene: Scene) -> None:
    """A machine made anew under the same name inherits nothing."""
    other = key(f"{ALICE4}/32").__class__("00000000-another", PORT, Protocol.TCP, key(f"{ALICE4}/32").prefix)
    report = scene.ask({other: scene.clock.wall() + timedelta(hours=1)})
    assert report.shut == {other}
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_an_older_generation_is_refused_and_changes_nothing(scene: Scene) -> None:
    """Case HO8."""
    scene.open(f"{ALICE4}/32")
    with pytest.raises(GenerationBehind) as refused:
        scene.ask({key(f"{ALICE4}/32"): None}, generation=scene.generation - 1)
    assert refused.value.current == 2
    assert scene.network.alice.can_connect(HOST4, PORT)


def test_a_state_for_another_scope_is_refused(scene: Scene) -> None:
    stray = Desired("host/other", 99, scene.clock.wall(), frozenset({MACHINE}), {}, {}, complete=True)
    with pytest.raises(ConnectorError, match=f"this is scope {SCOPE}"):
        scene.enforcer.sync(stray, scene.clock.elapsed())
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_a_port_that_is_no_longer_protected_is_open_again_and_nothing_is_left_behind(scene: Scene) -> None:
    """Cases FW16 and CL16."""
    scene.ports = {}
    assert scene.ask(complete=True).protected == {}
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert scene.tables() == ""


def test_an_always_allowed_prefix_reaches_every_protected_port(idle: Scene) -> None:
    idle.always = (key("10.71.2.0/24").prefix, key("fd71:2::/64").prefix)
    idle.start()
    idle.ask(complete=True)
    assert idle.network.bob.can_connect(HOST4, PORT)
    assert idle.network.bob.can_connect(HOST6, PORT)
    assert not idle.network.alice.can_connect(HOST4, PORT)


def test_the_plan_says_what_the_sync_will_do_and_does_nothing(scene: Scene) -> None:
    end = scene.open(f"{ALICE4}/32")
    scene.ports = {port_key(): KEEP, port_key(3389): END}
    desired = Desired(
        SCOPE,
        9,
        scene.clock.wall(),
        frozenset({MACHINE}),
        scene.ports,
        {key(f"{ALICE4}/32"): None, key("10.0.0.0/8"): end},
        {key(f"{ALICE4}/32"): end},
    )
    lines = [f"{step.verb} {step.what}" for step in scene.enforcer.plan(desired).steps]
    assert lines == [
        "protect tcp/3389",
        f"release udp/{PORT}",
        f"open tcp/{PORT} from 10.0.0.0/8 until {end.isoformat()}",
        f"shut tcp/{PORT} from {ALICE4}/32",
        f"cut tcp/{PORT} from {ALICE4}/32",
    ]
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert not scene.network.alice.can_exchange(HOST4, PORT)


def test_who_was_turned_away_is_remembered(scene: Scene) -> None:
    scene.open(f"{ALICE4}/32")
    scene.network.alice.can_connect(HOST4, PORT)
    scene.network.alice.can_connect(HOST4, PORT, source=ALICE4_SECOND)
    scene.network.bob.can_exchange(HOST6, PORT)
    latest, earlier = scene.enforcer.refused_sources()
    assert (latest.source, latest.protocol, latest.port) == ("fd71:2::2", Protocol.UDP, PORT)
    assert (earlier.source, earlier.protocol, earlier.port) == (ALICE4_SECOND, Protocol.TCP, PORT)
    assert abs((scene.clock.wall() - latest.at).total_seconds()) < 5
