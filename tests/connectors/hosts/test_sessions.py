"""What becomes of established sessions."""

import secrets
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from tests.connectors.hosts.scene import END, KEEP, PORT, Scene, both, key, port_key
from tests.connectors.hosts.ticker import Ticker, ticks
from tests.netns import ALICE4, ALICE6, HOST4, HOST6, Namespace, echoes

from jitgate.connectors.hosts import netlink
from jitgate.connectors.hosts.sockets import CONNECTED, Sockets
from jitgate.core.desired import Protocol

pytestmark = pytest.mark.needs_root

Eventually = Callable[[Callable[[], bool]], bool]
TALKING = 3333
"""The port of a server that talks, so that each direction can be watched by itself."""


@pytest.fixture
def ending(scene: Scene) -> Scene:
    """Sessions of the port end with their grant."""
    scene.ports = both(END)
    scene.ask(complete=True)
    return scene


@pytest.fixture
def session(scene: Scene) -> Iterator[socket.socket]:
    """Alice's, over IPv4, under a grant that is hers alone."""
    scene.open(f"{ALICE4}/32")
    with scene.network.alice.connect(HOST4, PORT) as made:
        assert echoes(made)
        yield made


def was_reset(session: socket.socket) -> bool:
    """Whether the peer was told that the session is over, rather than left waiting."""
    session.settimeout(30)
    try:
        return session.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def forget_connections(namespace: Namespace) -> None:
    """As ``conntrack -D`` does."""
    link = netlink.Link(namespace.name, netlink.NETFILTER)
    link.request(1 << 8 | 2, struct.pack(">BBH", socket.AF_UNSPEC, 0, 0))
    link.close()


def test_a_session_that_must_end_is_reset_at_once(ending: Scene, session: socket.socket) -> None:
    """Case CL14."""
    ending.shut(f"{ALICE4}/32")
    assert was_reset(session)


def test_a_session_that_must_end_is_reset_at_its_deadline(ending: Scene) -> None:
    ending.open(f"{ALICE4}/32", f"{ALICE6}/128")
    alice = ending.network.alice
    with alice.connect(HOST4, PORT) as first, alice.connect(HOST6, PORT) as second:
        assert echoes(first)
        assert echoes(second)
        ending.open(f"{ALICE4}/32", f"{ALICE6}/128", seconds=0.4)
        assert was_reset(first)
        assert was_reset(second)


def test_a_session_goes_on_while_a_wider_grant_covers_it(ending: Scene, session: socket.socket) -> None:
    """Case OV1."""
    ending.open("10.71.0.0/16")
    ending.shut(f"{ALICE4}/32")
    assert echoes(session)
    ending.shut("10.71.0.0/16")
    assert was_reset(session)


def test_the_session_of_another_source_is_not_touched(ending: Scene, session: socket.socket) -> None:
    ending.open("10.71.2.0/24")
    with ending.network.bob.connect(HOST4, PORT) as other:
        ending.shut(f"{ALICE4}/32")
        assert was_reset(session)
        assert echoes(other)


def test_a_session_that_may_go_on_outlives_its_grant(scene: Scene, session: socket.socket) -> None:
    """Azure's way, and the default: only new connections are refused."""
    scene.shut(f"{ALICE4}/32")
    assert echoes(session)
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_a_revoke_cuts_a_session_that_would_have_gone_on(scene: Scene, session: socket.socket) -> None:
    until = scene.clock.wall() + timedelta(minutes=5)
    scene.ask({key(f"{ALICE4}/32"): None}, cut={key(f"{ALICE4}/32"): until})
    assert was_reset(session)
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_a_revoke_spares_what_another_grant_covers(scene: Scene, session: socket.socket) -> None:
    """Case CL20."""
    end = scene.open("10.71.1.0/24")
    scene.ask({key(f"{ALICE4}/32"): None}, cut={key(f"{ALICE4}/32"): end})
    assert echoes(session)


def test_a_new_grant_is_not_cut_for_the_sake_of_the_revoked_one(scene: Scene, session: socket.socket) -> None:
    until = scene.clock.wall() + timedelta(minutes=5)
    scene.ask({key(f"{ALICE4}/32"): None}, cut={key(f"{ALICE4}/32"): until})
    assert was_reset(session)
    scene.open(f"{ALICE4}/32")
    with scene.network.alice.connect(HOST4, PORT) as fresh:
        scene.shut(f"{ALICE4}/32")
        assert echoes(fresh), "a kept session was cut by a revoke that came before it"


@pytest.fixture
def unreset(scene: Scene) -> Scene:
    """Sessions end, but no socket is reset: what the packets meet is all there is, as with the agent dead."""
    scene.ports = {port_key(TALKING): END}
    scene.ask(complete=True)
    scene.enforcer._sessions.end = lambda *_: None  # type: ignore[method-assign]
    return scene


def neither_way(session: socket.socket, server: Ticker) -> bool:
    """Whether nothing passes any more, from the server or to it."""
    word = secrets.token_bytes(8)
    session.sendall(word)
    return not ticks(session) and word not in server.heard


def test_nothing_passes_either_way_once_a_session_has_ended(unreset: Scene) -> None:
    with Ticker(unreset.network.host, TALKING) as server:
        unreset.ask({key(f"{ALICE4}/32", TALKING): unreset.clock.wall() + timedelta(minutes=5)})
        with unreset.network.alice.connect(HOST4, TALKING) as session:
            assert not neither_way(session, server)
            unreset.ask({key(f"{ALICE4}/32", TALKING): None})
            assert neither_way(session, server)


def test_nothing_passes_either_way_once_a_kept_session_was_revoked(unreset: Scene) -> None:
    unreset.ports = {port_key(TALKING): KEEP}
    with Ticker(unreset.network.host, TALKING) as server:
        until = unreset.clock.wall() + timedelta(minutes=5)
        unreset.ask({key(f"{ALICE4}/32", TALKING): until})
        with unreset.network.alice.connect(HOST4, TALKING) as session:
            unreset.ask({key(f"{ALICE4}/32", TALKING): None})
            assert not neither_way(session, server)
            unreset.ask(cut={key(f"{ALICE4}/32", TALKING): until})
            assert neither_way(session, server)


def test_forgetting_connections_does_not_let_a_session_live_on(unreset: Scene) -> None:
    """Case HO4: the next packet of the server makes a new entry, in the other direction."""
    with Ticker(unreset.network.host, TALKING) as server:
        unreset.ask({key(f"{ALICE4}/32", TALKING): unreset.clock.wall() + timedelta(minutes=5)})
        with unreset.network.alice.connect(HOST4, TALKING) as session:
            forget_connections(unreset.network.host)
            assert not neither_way(session, server)
            unreset.ask({key(f"{ALICE4}/32", TALKING): None})
            for _ in range(2):
                forget_connections(unreset.network.host)
                assert neither_way(session, server)


def test_a_client_whose_session_has_ended_can_still_hang_up(unreset: Scene, eventually: Eventually) -> None:
    """A reset is let through in both directions; without it the server would keep the dead session for minutes."""
    with Ticker(unreset.network.host, TALKING), closing(Sockets(unreset.network.host.name)) as sockets:
        unreset.ask({key(f"{ALICE4}/32", TALKING): unreset.clock.wall() + timedelta(minutes=5)})
        session = unreset.network.alice.connect(HOST4, TALKING)
        unreset.ask({key(f"{ALICE4}/32", TALKING): None})
        assert sockets.sessions(TALKING, CONNECTED)
        session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        session.close()
        assert eventually(lambda: not sockets.sessions(TALKING, CONNECTED))


def test_a_session_older_than_connection_tracking_ends_too(idle: Scene) -> None:
    """The kernel first saw it when the server spoke, so it takes the session for one that the host began."""
    with (
        Ticker(idle.network.host, TALKING) as server,
        idle.network.alice.connect(HOST4, TALKING) as session,
    ):
        idle.ports = {port_key(TALKING): END}
        idle.start()
        idle.ask({key(f"{ALICE4}/32", TALKING): idle.clock.wall() + timedelta(minutes=5)}, complete=True)
        assert ticks(session)
        idle.enforcer._sessions.end = lambda *_: None  # type: ignore[method-assign]
        idle.ask({key(f"{ALICE4}/32", TALKING): None})
        assert neither_way(session, server)


def test_ending_sessions_can_be_turned_on_while_they_last(scene: Scene, session: socket.socket) -> None:
    scene.shut(f"{ALICE4}/32")
    assert echoes(session)
    scene.ports = both(END)
    scene.ask()
    assert was_reset(session)


@pytest.mark.parametrize("protection", [END, KEEP], ids=str)
def test_a_connection_that_the_host_begins_from_a_protected_port_works(scene: Scene, protection: object) -> None:
    """It is no session of anybody who was let in; the port that it leaves from is a coincidence."""
    scene.ports = {port_key(3000): END if protection is END else KEEP}
    scene.ask(complete=True)
    with (
        scene.network.alice.listen(4000),
        scene.network.host.connect(ALICE4, 4000, source=HOST4, source_port=3000) as own,
    ):
        assert echoes(own)
        assert echoes(own)


def test_udp_of_a_protected_port_ends_with_its_grant_both_ways(ending: Scene) -> None:
    ending.open(f"{ALICE4}/32", protocol=Protocol.UDP)
    with ending.network.alice.make_socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect((HOST4, PORT))
        assert echoes(datagrams)
        ending.shut(f"{ALICE4}/32", protocol=Protocol.UDP)
        assert not echoes(datagrams)
