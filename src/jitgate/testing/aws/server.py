"""moto over HTTP on loopback, in a thread of this process: for clients that are processes of their own."""

import contextlib
import io
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

_LARGEST = 16 << 20
_READ = b"Action=Describe"


@dataclass(slots=True)
class Served:
    """`url`: what stands for all of Amazon. `calls`: how many were made.

    `after`: called when something was changed, before the client hears of it.
    """

    url: str = ""
    after: Callable[[], None] = lambda: None
    calls: int = 0


@contextlib.contextmanager
def serve() -> Iterator[Served]:
    """Answer HTTP until the block ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    dispatched = DomainDispatcherApplication(create_backend_app)

    served = Served()

    def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), _LARGEST))
        served.calls += 1
        environ["wsgi.input"] = io.BytesIO(body)
        told: Iterable[bytes] = dispatched(environ, start)
        if not body.startswith(_READ):
            served.after()
        return told

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=_KeepAlive)
    server.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        served.url = f"http://127.0.0.1:{server.server_port}"
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _KeepAlive(WSGIRequestHandler):
    """One connection for many calls, as with Amazon."""

    protocol_version = "HTTP/1.1"
