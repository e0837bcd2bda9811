"""``python -m bench.splice PORT``: the least that a relay can be. splice(2) between sockets, a thread each way."""

import os
import socket
import sys
import threading
from contextlib import suppress

_PIECE = 1 << 20


def run() -> None:
    """Say where it listens, and relay."""
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    while True:
        client, _ = listening.accept()
        server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=_carry, args=(source, sink), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    out, into = os.pipe()
    with suppress(OSError):
        while count := os.splice(source.fileno(), into, _PIECE):
            while count:
                count -= os.splice(out, sink.fileno(), count)
        sink.shutdown(socket.SHUT_WR)
    os.close(out)
    os.close(into)


if __name__ == "__main__":
    run()
