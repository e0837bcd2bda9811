"""Bytes both ways, each direction ended by itself."""

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from tests.cli.listener import listening

from jitgate.cli import relay
from jitgate.cli.exits import Failure


@dataclass
class Ends:
    """A relay under way, and the four ends that a test holds."""

    far: socket.socket
    stdin: int
    stdout: int
    thread: threading.Thread
    outcome: list[bool]
    closed: set[int] = field(default_factory=set)

    def close(self, descriptor: int) -> None:
        """Close an end once: its number may be somebody else's by then."""
        if descriptor not in self.closed:
            self.closed.add(descriptor)
            os.close(descriptor)

    def finished(self) -> bool:
        self.thread.join(5)
        return not self.thread.is_alive()


@pytest.fixture
def ends() -> Iterator[Ends]:
    near, far = socket.socketpair()
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    outcome: list[bool] = []
    thread = threading.Thread(target=lambda: outcome.append(relay.relay(near, read_in, write_out)), daemon=True)
    thread.start()
    made = Ends(far, write_in, read_out, thread, outcome)
    yield made
    far.close()
    made.close(write_in)
    made.close(read_out)
    assert made.finished()
    near.close()
    os.close(read_in)


def test_the_other_side_hears_that_input_has_ended_and_may_go_on_sending(ends: Ends) -> None:
    os.write(ends.stdin, b"question")
    ends.close(ends.stdin)
    assert ends.far.recv(100) == b"question"
    assert ends.far.recv(100) == b""
    ends.far.sendall(b"answer")
    assert os.read(ends.stdout, 100) == b"answer"
    ends.far.close()
    assert ends.finished()
    assert ends.outcome == [True]


def test_the_reader_hears_that_the_other_side_has_ended_and_may_go_on_sending(ends: Ends) -> None:
    ends.far.sendall(b"banner")
    ends.far.shutdown(socket.SHUT_WR)
    assert os.read(ends.stdout, 100) == b"banner"
    assert os.read(ends.stdout, 100) == b""
    os.write(ends.stdin, b"still here")
    assert ends.far.recv(100) == b"still here"
    ends.close(ends.stdin)
    assert ends.finished()
    assert ends.outcome == [True]


def test_nothing_is_lost_of_a_lot(ends: Ends) -> None:
    lot = os.urandom(3 << 20)

    def send() -> None:
        ends.far.sendall(lot)
        ends.far.shutdown(socket.SHUT_WR)

    threading.Thread(target=send, daemon=True).start()
    got = b""
    while data := os.read(ends.stdout, 1 << 16):
        got += data
    assert got == lot


def test_a_reader_that_goes_away_ends_the_relay_though_input_goes_on(ends: Ends) -> None:
    ends.close(ends.stdout)
    ends.far.sendall(b"nobody reads this")
    assert ends.finished()
    assert ends.outcome == [False]


def test_a_connection_that_breaks_off_ends_the_relay_though_input_goes_on() -> None:
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    with listening(reset=True) as port, relay.connect("127.0.0.1", port) as connection:
        os.write(write_in, b"x")
        assert relay.relay(connection, read_in, write_out) is False
        # Only now does the thread that waits for input come to its end.
        os.close(write_in)
    for descriptor in (read_in, read_out, write_out):
        os.close(descriptor)


def test_a_port_that_does_not_answer_is_told_with_what_to_look_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(Failure, match="was opened and does not answer"):
        relay.connect("127.0.0.1", port)
