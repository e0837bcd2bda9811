"""Other ways for a packet to reach a protected port: published ports, redirects, fragments."""

import socket
import struct
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from tests.connectors.hosts.scene import END, PORT, Scene, both, key, port_key
from tests.connectors.hosts.ticker import Ticker, ticks
from tests.netns import ALICE4, ALICE6, HOST4, HOST6, answers

from jitgate.core.desired import Protocol

pytestmark = pytest.mark.needs_root

Eventually = Callable[[Callable[[], bool]], bool]

PUBLISHED = 8022


@pytest.fixture
def published(scene: Scene) -> Iterator[Scene]:
    """A container behind the host, its port published by destination NAT as Docker does, in both families."""
    container = scene.network.add("box", 9)
    scene.network.host.nft(
        f"""
        table inet publish {{
          chain nat {{
            type nat hook prerouting priority -100;
            fib daddr type local tcp dport {PUBLISHED} dnat ip to 10.71.9.2:22
            fib daddr type local tcp dport {PUBLISHED} dnat ip6 to [fd71:9::2]:22
          }}
        }}
        """
    )
    scene.ports = {port_key(PUBLISHED): END}
    with container.listen(22):
        yield scene


def test_a_published_port_is_protected_under_the_number_that_clients_use(
    published: Scene, eventually: Eventually
) -> None:
    """Case HO3."""
    alice = published.network.alice
    # A link that is new takes up to a second to find its neighbours.
    assert eventually(lambda: alice.can_connect(HOST4, PUBLISHED)), "it must be reachable to begin with"
    assert eventually(lambda: alice.can_connect(HOST6, PUBLISHED)), "it must be reachable to begin with"
    published.ask(complete=True)
    assert not alice.can_connect(HOST4, PUBLISHED)
    assert not alice.can_connect(HOST6, PUBLISHED)
    end = published.clock.wall() + timedelta(minutes=5)
    published.ask({key(f"{ALICE4}/32", PUBLISHED): end, key(f"{ALICE6}/128", PUBLISHED): end})
    assert alice.can_connect(HOST4, PUBLISHED)
    assert alice.can_connect(HOST6, PUBLISHED)
    assert not published.network.bob.can_connect(HOST4, PUBLISHED)


def test_a_session_through_a_published_port_ends_in_both_directions(published: Scene) -> None:
    """What the container still sends is stopped behind the address translation."""
    box = published.network.add("talking", 10)
    published.network.host.nft(
        "table inet publish2 { chain nat { type nat hook prerouting priority -100;"
        f" tcp dport {PUBLISHED + 1} dnat ip to 10.71.10.2:22; }}; }}"
    )
    published.ports = {port_key(PUBLISHED + 1): END}
    with Ticker(box, 22) as server:
        published.ask({key(f"{ALICE4}/32", PUBLISHED + 1): published.clock.wall() + timedelta(minutes=5)})
        with published.network.alice.connect(HOST4, PUBLISHED + 1) as session:
            assert ticks(session)
            published.ask({key(f"{ALICE4}/32", PUBLISHED + 1): None})
            session.sendall(b"late")
            assert not ticks(session)
            assert b"late" not in server.heard


def test_what_a_protected_port_forwards_elsewhere_is_left_alone(published: Scene) -> None:
    """The host is a router as well: the same port of a machine behind it is none of ours."""
    published.ports = both(END, 22)
    published.ask(complete=True)
    assert published.network.alice.can_connect("10.71.9.2", 22)


def test_a_redirect_to_a_protected_port_is_no_way_round(scene: Scene) -> None:
    rule = f"tcp dport 9022 redirect to :{PORT}"
    scene.network.host.nft(f"table inet nat {{ chain p {{ type nat hook prerouting priority -100; {rule}; }}; }}")
    assert not scene.network.alice.can_connect(HOST4, 9022)
    scene.open(f"{ALICE4}/32")
    assert scene.network.alice.can_connect(HOST4, 9022)
    assert not scene.network.bob.can_connect(HOST4, 9022)


@pytest.mark.parametrize("address", [HOST4, HOST6])
def test_fragments_reach_a_port_exactly_when_it_is_open(scene: Scene, address: str) -> None:
    """Only the first fragment names the port; the others must neither slip in nor get lost."""
    with scene.network.host.listen(PORT + 1, udp=True):
        assert large_datagram_returns(scene, address, PORT + 1)
    assert not large_datagram_returns(scene, address, PORT)
    scene.open(f"{ALICE4}/32", f"{ALICE6}/128", protocol=Protocol.UDP)
    assert large_datagram_returns(scene, address, PORT)


def large_datagram_returns(scene: Scene, address: str, port: int) -> bool:
    """Whether a datagram of three fragments is echoed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with scene.network.alice.make_socket(family, socket.SOCK_DGRAM) as made:
        made.connect((address, port))
        made.send(b"x" * 4000)
        try:
            return answers(made) and len(made.recv(65536)) == 4000
        except OSError:
            return False


def test_tiny_fragments_out_of_order_do_not_slip_in(scene: Scene) -> None:
    """The smallest fragments there can be: eight bytes each, and the last comes first."""
    arrived = scene.network.host.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with (
        arrived,
        scene.network.alice.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)) as raw,
    ):
        arrived.bind((HOST4, PORT + 5))
        arrived.settimeout(0.25)
        send_in_fragments(raw, PORT + 5)
        assert arrived.recv(64) == b"sixteen bytes ok"
        scene.ports = both(END, PORT + 5)
        scene.ask(complete=True)
        send_in_fragments(raw, PORT + 5)
        with pytest.raises(TimeoutError):
            arrived.recv(64)


def send_in_fragments(raw: socket.socket, port: int) -> None:
    """A UDP datagram of 24 bytes in three IPv4 fragments of eight; only the first holds the ports."""
    payload = b"sixteen bytes ok"
    datagram = struct.pack(">HHHH", 5555, port, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(ALICE4) + socket.inet_aton(HOST4)
    for offset in (16, 8, 0):
        more = 0x2000 if offset < 16 else 0
        header = struct.pack(">BBHHHBBH", 0x45, 0, 28, 777, more | offset // 8, 64, socket.IPPROTO_UDP, 0)
        raw.sendto(header + addresses + datagram[offset : offset + 8], (HOST4, 0))
