"""Who stands between an agent and its server and has its TLS key: what they repeat or alter opens nothing."""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.joined import Joined
from tests.netns import ALICE4, CAROL4, DAVE4, HOST4, Namespace, Network
from tests.processes import Jitgate, until

from jitgate.connectors.hosts import polls
from jitgate.trust import signatures

pytestmark = pytest.mark.needs_root

_SIGNATURE = "Jitgate-Signature"


@dataclass(frozen=True)
class Answer:
    """What goes back to the agent."""

    status: int
    signature: str
    body: bytes


class Between:
    """Passes on what agents say, and what they are answered, but for what `alter` makes of it. A context manager.

    `answers`: to polls, as they came from the server; `altered`: how many were sent on otherwise
    """

    def __init__(self, namespace: Namespace, jitgate: Jitgate) -> None:
        self._namespace = namespace
        self._jitgate = jitgate
        self.alter: Callable[[Answer], Answer] | None = None
        self.answers: list[Answer] = []
        self.altered = 0
        # Whoever has these can be the server, as far as TLS goes.
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(jitgate.directory / "server.pem")
        self._server = namespace.inside(lambda: ThreadingHTTPServer((HOST4, 0), self._handler()))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who hangs up is none
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://{HOST4}:{self._server.server_port}"

    def __enter__(self) -> "Between":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def pass_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """What the server answers, and what becomes of it."""
        trusting = ssl.create_default_context(cafile=self._jitgate.directory / "ca.pem")
        asking = http.client.HTTPSConnection(HOST4, self._jitgate.port, context=trusting, timeout=90)
        asking.sock = trusting.wrap_socket(
            self._namespace.connect(HOST4, self._jitgate.port, timeout=90), server_hostname=HOST4
        )
        try:
            asking.request(method, path, body, headers)
            answered = asking.getresponse()
            found = Answer(answered.status, answered.headers.get(_SIGNATURE, ""), answered.read())
        finally:
            asking.close()
        if path != polls.POLL_PATH or found.status != http.HTTPStatus.OK:
            return found
        self.answers.append(found)
        if self.alter is None:
            return found
        self.altered += 1
        return self.alter(found)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = between.pass_on(self.command, self.path, dict(self.headers.items()), body)
                self.send_response(answer.status)
                self.send_header(_SIGNATURE, answer.signature)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_POST = do_GET  # noqa: N815 - as http.server calls it

            def log_message(self, *_: Any) -> None: ...

        return Handler


@pytest.fixture(scope="module")
def between(network: Network, jitgate: Jitgate) -> Iterator[Between]:
    with Between(network.host, jitgate) as made:
        yield made


@pytest.fixture(scope="module")
def web(
    network: Network, jitgate: Jitgate, between: Between, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Joined]:
    """A host whose agent reaches its server by way of who stands between."""
    with network.alice.listen(22), Joined(network.alice, tmp_path_factory.mktemp("web") / "state", "web-1") as made:
        made.join(jitgate, by=between.url)
        made.start()
        made.protect(jitgate)
        yield made


@pytest.fixture
def opened(web: Joined, jitgate: Jitgate, between: Between, carol: Namespace) -> Iterator[Answer]:
    """What the server said when a port was opened that is shut again by now."""
    grant = jitgate.open("web-1", CAROL4, seconds=600)
    assert carol.can_connect(ALICE4, 22)
    said = next(each for each in reversed(between.answers) if CAROL4.encode() in each.body)
    jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")
    assert not carol.can_connect(ALICE4, 22)
    yield said
    between.alter = None
    last = jitgate.open("web-1", CAROL4, seconds=600)
    assert carol.can_connect(ALICE4, 22), "it goes on when the link is as it should be"
    jitgate.call("POST", f"/api/v1/grants/{last['id']}/close?wait=60")


def answered_otherwise(jitgate: Jitgate, between: Between, alter: Callable[[Answer], Answer]) -> None:
    """Have the server say something, a few times over, of which the agent hears what `alter` makes of it."""
    between.alter, between.altered = alter, 0
    body = {"machines": [{"id": "web-1", "ports": [{"number": 22, "sources": [DAVE4], "duration": "PT10M"}]}]}
    jitgate.call("POST", "/api/v1/requests", {**body, "justification": "to have something said"})
    until(lambda: between.altered >= 3, "the agent does not ask again")


def test_what_was_said_before_opens_nothing_when_it_is_said_again(
    jitgate: Jitgate, between: Between, carol: Namespace, opened: Answer
) -> None:
    answered_otherwise(jitgate, between, lambda _: opened)
    assert not carol.can_connect(ALICE4, 22)


def test_a_word_that_was_altered_opens_nothing(
    jitgate: Jitgate, between: Between, carol: Namespace, opened: Answer
) -> None:
    def altered(answer: Answer) -> Answer:
        return Answer(200, answer.signature, answer.body.replace(DAVE4.encode(), CAROL4.encode()))

    answered_otherwise(jitgate, between, altered)
    assert any(DAVE4.encode() in each.body for each in between.answers)
    assert not carol.can_connect(ALICE4, 22)


def test_a_word_that_another_key_has_signed_opens_nothing(
    jitgate: Jitgate, between: Between, carol: Namespace, opened: Answer
) -> None:
    thief = signatures.make()

    def forged(answer: Answer) -> Answer:
        body = answer.body.replace(DAVE4.encode(), CAROL4.encode())
        return Answer(200, thief.sign(polls.REPLY, body), body)

    answered_otherwise(jitgate, between, forged)
    assert not carol.can_connect(ALICE4, 22)
