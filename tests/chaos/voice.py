"""How a story speaks to the servers: once, and whatever they do. From the namespace of the calling thread."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from tests.chaos.scene import Scene

PATIENCE = 60.0
PROGRAM = "deploy"
"""Who asks for what needs approval: nobody approves their own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: there was none. `text`: what to tell of it."""

    status: int
    body: Any = None

    @property
    def is_yes(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_no(self) -> bool:
        """A refusal: nothing was done. All else but a yes leaves open what was."""
        return 400 <= self.status < 500

    @property
    def text(self) -> str:
        if self.is_yes:
            return "yes"
        return "no answer" if not self.status else f"{self.status} {str(self.body)[:160]}"


class Voice:
    """Speaks as the owner, or as a program with a secret."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._secret = ""
        self._token = ""

    def let_program_in(self) -> None:
        """Make the program, which may ask for access."""
        server = self._scene.replicas[0]
        server.call("POST", "/api/v1/principals", {"name": PROGRAM, "kind": "service"})
        given = {"role": "JIT Requester", "principal": PROGRAM, "scope": "/"}
        server.call("POST", "/api/v1/role-assignments", given)
        secret = server.call("POST", f"/api/v1/principals/{PROGRAM}/secrets", {"name": "chaos"})
        self._secret = str(secret["secret"])

    def say(self, via: int, method: str, path: str, body: object = None, *, as_program: bool = False) -> Answer:
        """One call to one server."""
        try:
            with self._scene.replicas[via % len(self._scene.replicas)].client() as client:
                client.timeout = httpx.Timeout(PATIENCE)
                if as_program:
                    client.headers["Authorization"] = f"Bearer {self._lent(client)}"
                answer = client.request(method, path, json=body)
        except (httpx.TransportError, _NotLent):
            return Answer(0)
        if as_program and answer.status_code == 401:
            self._token = ""
        return Answer(answer.status_code, _read(answer))

    def insist(self, method: str, path: str, body: object = None, seconds: float = 120.0) -> Any:
        """What any server answers, once one says yes."""
        give_up = time.monotonic() + seconds
        via = 0
        while not (answer := self.say(via, method, path, body)).is_yes:
            assert time.monotonic() < give_up, f"{method} {path}: {answer.text}"
            via += 1
            time.sleep(0.1)
        return answer.body

    def pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        """The items of a list, newest first, page by page."""
        after: str | None = None
        while True:
            page = self.insist("GET", path + (f"&after={after}" if after else ""))
            yield from page["items"]
            after = page["after"]
            if not after:
                return

    def _lent(self, client: httpx.Client) -> str:
        """The program's token, which lasts minutes by a clock that is stepped."""
        if not self._token:
            form = {"grant_type": "client_credentials", "client_id": PROGRAM, "client_secret": self._secret}
            answer = client.post("/common/oauth2/v2.0/token", data=form)
            if not answer.is_success:
                raise _NotLent
            self._token = answer.json()["access_token"]
        return self._token


class _NotLent(Exception):
    """No token was to be had."""


def _read(answer: httpx.Response) -> Any:
    with contextlib.suppress(ValueError):
        return answer.json()
    return answer.text
