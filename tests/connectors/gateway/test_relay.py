"""What becomes of a connection's bytes: all of them, in order, with bounded memory, however slow the other side is."""

import hashlib
import os
import resource
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest
from tests.connectors.gateway.scene import (
    ALICE,
    BEHIND,
    BOB,
    PATIENCE,
    Scene,
    Silent,
    echoes,
    is_cut,
    is_reset,
    reset,
    until,
)

from jitgate.connectors.gateway import relay
from jitgate.connectors.hosts.messages import Happened, Kind

MANY = 2_000


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Scene]:
    """A machine that only accepts; ALICE may come in."""
    with Scene(tmp_path, Silent()) as made:
        made.open(ALICE)
        yield made


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many as this machine allows: one process has both ends of each connection here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def machine_side(scene: Scene, number: int = 0) -> socket.socket:
    until(lambda: len(scene.target.accepted) > number)
    found = scene.target.accepted[number]
    found.settimeout(PATIENCE)
    return found


def test_many_bytes_arrive_both_ways_in_order(scene: Scene) -> None:
    scene.open(ALICE)
    sent, heard = hashlib.sha256(), hashlib.sha256()
    pieces = [os.urandom(1 << 20) for _ in range(4)]
    with scene.connect(ALICE) as client:

        def send() -> None:
            for _ in range(4):
                for piece in pieces:
                    sent.update(piece)
                    client.sendall(piece)
            client.shutdown(socket.SHUT_WR)

        sending = threading.Thread(target=send)
        sending.start()
        while piece := client.recv(1 << 18):
            heard.update(piece)
        sending.join()
    assert heard.digest() == sent.digest()


def test_who_has_said_everything_can_still_listen(silent: Scene) -> None:
    with silent.connect(ALICE) as client:
        server = machine_side(silent)
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert server.recv(100) == b"question"
        assert server.recv(100) == b""
        server.sendall(b"answer")
        server.close()
        assert client.recv(100) == b"answer"
        assert client.recv(100) == b""
    until(lambda: silent.post._gateway.connections == 0)


def test_a_machine_that_has_said_everything_can_still_listen(silent: Scene) -> None:
    with silent.connect(ALICE) as client:
        server = machine_side(silent)
        server.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
        client.sendall(b"more")
        assert server.recv(100) == b"more"
    assert server.recv(100) == b""


def test_a_reset_goes_through_both_ways(silent: Scene) -> None:
    with silent.connect(ALICE) as client:
        reset([machine_side(silent)])
        assert is_reset(client)
    client = silent.connect(ALICE)
    server = machine_side(silent, 1)
    reset([client])
    assert is_reset(server)


def test_a_slow_reader_holds_up_the_writer_and_takes_no_more_memory(silent: Scene) -> None:
    with silent.connect(ALICE) as client:
        slow = machine_side(silent)
        client.setblocking(False)
        sent = _fill(client)
        waiting = silent.post._gateway._waiting.bytes
        assert 0 < waiting <= relay.PIECE
        before = sent
        until(lambda: _fill(client) == 0)
        assert silent.post._gateway._waiting.bytes <= relay.PIECE, before
        with silent.connect(ALICE) as other:
            server = machine_side(silent, 1)
            other.sendall(b"not held up")
            assert server.recv(100) == b"not held up"
    reset([slow])
    until(lambda: silent.post._gateway._waiting.bytes == 0)


def test_all_slow_readers_together_have_a_budget(tmp_path: Path) -> None:
    """Beyond it, what is read at once is small."""
    waiting = relay.Waiting(budget=1000)
    assert len(waiting.room) == relay.PIECE
    waiting.bytes = 1000
    assert len(waiting.room) == relay.SMALL_PIECE
    most = relay.BUDGET + relay.PIECE + 2 * 4096 * relay.SMALL_PIECE
    assert most < 100 << 20


def test_what_is_almost_sent_counts_as_long_as_its_memory_is_held() -> None:
    waiting = relay.Waiting()
    ours, theirs = socket.socketpair()
    sink = Mock(send=Mock(side_effect=[1000, relay.PIECE - 1010, 10]))
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * relay.PIECE)
        theirs.sendall(bytes(relay.PIECE))
        direction = relay.Direction(Mock(), ours, sink, waiting, Mock(), Mock())
        direction._read()
        held = waiting.bytes
        assert held > 1000
        direction._drain()
        assert waiting.bytes == held, "ten bytes are left, of a piece that is there whole"
        direction._drain()
        assert waiting.bytes == 0


def test_two_thousand_connections_at_once(tmp_path: Path, descriptors: None) -> None:
    with Scene(tmp_path, Silent(), most_per_source=MANY) as scene, ExitStack() as opened:
        scene.open(ALICE)
        clients = [opened.enter_context(scene.connect(ALICE, scene.mapped if n == 0 else None)) for n in range(20)]
        mapped = scene.mapped
        clients += [opened.enter_context(scene.connect(ALICE, mapped)) for _ in range(MANY - 20)]
        until(lambda: len(scene.target.accepted) == MANY)
        for number in (0, MANY // 2, MANY - 1):
            clients[number].sendall(b"%d" % number)
        said = {each.recv(10) for each in _readable(scene.target.accepted, 3)}
        assert said == {b"0", b"%d" % (MANY // 2), b"%d" % (MANY - 1)}
        scene.shut(ALICE, cut=True)
        assert all(is_cut(client) for client in clients)
        until(lambda: scene.post._gateway.connections == 0)


def test_one_source_has_a_limit_and_another_still_comes_in(tmp_path: Path) -> None:
    with Scene(tmp_path, most_per_source=2) as scene, ExitStack() as opened:
        scene.open(ALICE, BOB)
        for _ in range(2):
            assert echoes(opened.enter_context(scene.connect(ALICE)))
        assert not scene.is_let_in(ALICE)
        assert scene.is_let_in(BOB)


def test_all_together_have_a_limit_and_a_place_that_is_free_again_is_given(tmp_path: Path) -> None:
    with Scene(tmp_path, most_connections=2) as scene:
        scene.open(ALICE, BOB)
        with scene.connect(ALICE) as one, scene.connect(ALICE) as two:
            assert echoes(one)
            assert echoes(two)
            assert not scene.is_let_in(BOB)
        until(lambda: scene.is_let_in(BOB))


def test_a_machine_that_is_down_gives_a_reset_and_is_reported_until_it_answers(scene: Scene) -> None:
    scene.open(ALICE)
    port = scene.target.port
    scene.target.close()
    assert scene.is_reset_at_once(ALICE)
    [told] = scene.sync().outranked
    assert "win-1 at 127.0.0.20" in told
    assert "connection refused" in told
    until(lambda: _news(scene))
    assert "does not answer" in _news(scene)[0].detail
    scene.target = type(scene.target)(BEHIND, port)
    assert scene.is_let_in(ALICE)
    assert scene.sync().outranked == ()


def test_a_machine_that_never_answers_is_given_up(silent: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full backlog drops what comes, as a firewall would."""
    monkeypatch.setattr(relay, "CONNECT_SECONDS", 0.3)
    silent.target.close()
    with ExitStack() as opened:
        full = opened.enter_context(socket.socket())
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind((BEHIND, silent.target.port))
        full.listen(0)
        for _ in range(3):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((BEHIND, silent.target.port))
        client = opened.enter_context(silent.connect(ALICE))
        client.sendall(b"is there anybody")
        assert is_reset(client)
        assert "no answer" in silent.sync().outranked[0]


def test_a_peer_that_vanishes_is_noticed(silent: Scene) -> None:
    with silent.connect(ALICE) as client:
        client.sendall(b"x")
        machine_side(silent).recv(1)
        [held] = silent.post._gateway._relays[silent.key]
        for each in (held._client, held._server):
            assert each is not None
            assert each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_when_the_gateway_ends_nothing_listens_and_nobody_stays(scene: Scene) -> None:
    mapped = scene.mapped
    scene.open(ALICE)
    with scene.connect(ALICE) as client:
        assert echoes(client)
        scene.stop()
        assert is_cut(client)
        assert not scene.listens(mapped)
    scene.start()


def _fill(connection: socket.socket) -> int:
    """Send until nothing goes any more; how much went."""
    sent = 0
    quiet = 0
    while quiet < 10:
        try:
            sent += connection.send(b"x" * 65536)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            threading.Event().wait(0.01)
    return sent


def _readable(connections: list[socket.socket], count: int) -> list[socket.socket]:
    poll = select.poll()
    by_number = {each.fileno(): each for each in connections}
    for number in by_number:
        poll.register(number, select.POLLIN)
    found: set[int] = set()
    until(lambda: len(found.union(number for number, _ in poll.poll(100))) == count)
    return [by_number[number] for number, _ in poll.poll(0)]


def _news(scene: Scene) -> list[Happened]:
    return [
        each
        for each in scene.said
        if isinstance(each, Happened) and each.kind is Kind.NOTICED and "does not" in each.detail
    ]
