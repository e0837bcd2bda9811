"""Something that listens: it sends back what it gets, in capitals, after the other side has ended."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def listening(*, reset: bool = False) -> Iterator[int]:
    """A port on loopback. It answers all that it got once the sender has ended; or it breaks the connection off."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, reset), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, reset: bool) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            answer = _break_off if reset else _answer
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    got = b""
    with connection, suppress(OSError):
        while data := connection.recv(65536):
            got += data
        connection.sendall(got.upper())


def _break_off(connection: socket.socket) -> None:
    with connection:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
