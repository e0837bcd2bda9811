"""Where a browser on this machine brings a code back to: a port of the loopback interface, for one answer."""

import secrets
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from jitgate.cli.exits import NotAllowed, TimedOut

SECONDS = 300.0
_PAGE = b"<!doctype html><title>jitgate</title><p>Done. You can close this page and go back to the command line."


class Answer:
    """Waits for a browser. Only an answer with the state that this command made up counts."""

    def __init__(self) -> None:
        self.state = secrets.token_urlsafe(32)
        self._found: dict[str, str] = {}
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self._server.timeout = 1.0
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.server_close()

    def wait(self, seconds: float = SECONDS) -> str:
        """The code. Raises NotAllowed when somebody has said no, TimedOut."""
        give_up = monotonic() + seconds
        while not self._found:
            if monotonic() > give_up:
                raise TimedOut("Nobody has answered in the browser. Run `jitgate login` again.")
            self._server.handle_request()
        if "code" not in self._found:
            raise NotAllowed("It was denied in the browser.")
        return self._found["code"]

    def _take(self, path: str) -> bool:
        sent = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        is_ours = secrets.compare_digest(sent.get("state", "").encode(), self.state.encode())
        if is_ours:
            self._found = sent
        return is_ours

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                is_ours = take(self.path)
                self.send_response(200 if is_ours else 400)
                self.send_header("Content-Type", "text/html")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(_PAGE if is_ours else b"")

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the code stands in the address."""

        return Handler
