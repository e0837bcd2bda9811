"""A real receiver of webhooks on loopback: it takes, refuses, hangs, redirects, goes away and comes back."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Taken:
    """One post, as it came. `answer` is what was answered."""

    headers: Mapping[str, str]
    body: bytes
    answer: int


@dataclass
class Endpoint:
    """Answers `answers` in turn, then 204. An answer below 0 hangs for so many seconds."""

    answers: list[float] = field(default_factory=list)
    posts: list[Taken] = field(default_factory=list)
    location: str = ""
    port: int = 0

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = outer.answers.pop(0) if outer.answers else 204
                outer.posts.append(Taken(dict(self.headers), body, int(answer)))
                if answer < 0:
                    time.sleep(-answer)
                    return
                self.send_response(int(answer))
                if outer.location:
                    self.send_header("Location", outer.location)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def taken(self) -> list[Taken]:
        """What was answered with a yes."""
        return [post for post in self.posts if 200 <= post.answer < 300]
