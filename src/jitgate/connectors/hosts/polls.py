"""How server and agent talk when the agent is elsewhere: it dials out, and the server answers when there is something.

::

    agent                                            server
    Poll(session "", turn 1, said …)          ->
                                              <-     Reply(session S)              at once: a new session
    Poll(session S, turn 2, said …)           ->
                                              <-     Reply(said …)                 held until there is something
    Poll(session S, turn 3, said …)           ->     …

Each is JSON, with the signature of its bytes beside it. A poll is good once: its turn is later than all before it in a
session, whose name the server has made up. A reply is good for one poll: it repeats that poll's nonce. Neither can be
replayed, and a reply that was held up on the way lengthens nothing: what is left of a grant is counted from when the
agent sent the poll.

What one side has said it says again until the other has it, so that a link may break anywhere.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from jitgate.connectors.hosts import messages, wire
from jitgate.connectors.hosts.messages import Answer, Request, Unknown
from jitgate.connectors.hosts.wire import Json, Malformed
from jitgate.trust.keyset import SignedKeys

VERSION = 2
"""What is said in polls; a later version says more, and a side leaves out what the other does not know."""

KNOWS_ROOTS = 2
"""From this version on an agent takes over keys that another root has signed, once the former has named it."""


JOIN, POLL, REPLY = "agent join", "agent poll", "agent reply"
"""What the signatures are for."""

PREFIX = "/agents/v1/"
JOIN_PATH, POLL_PATH, KEYS_PATH, AUTHORITIES_PATH = (
    f"{PREFIX}{name}" for name in ("join", "poll", "keys", "authorities")
)
"""Where an agent finds its server's side of this."""

HOLD_SECONDS = 40.0
"""How long the server holds a poll. Less than most routers keep an idle connection in mind."""

MOST_MESSAGES = 1000

Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class Said(Generic[Message]):
    """Messages in a row; `first` is the number of the first of them. None stands for what only a newer version says."""

    first: int = 1
    messages: tuple[Message | None, ...] = ()

    def after(self, heard: int) -> list[Message]:
        """Those that are new to who has heard so many."""
        return [each for each in self.messages[max(0, heard + 1 - self.first) :] if each is not None]

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.first + len(self.messages) - 1


class Outbox(Generic[Message]):
    """What one side has said and the other may not have yet. Of very many, the oldest go."""

    def __init__(self) -> None:
        self._first = 1
        self._messages: deque[Message] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message) -> None:
        """Say something."""
        self._messages.append(message)
        if len(self._messages) > MOST_MESSAGES:
            self._drop(1)

    def heard(self, count: int) -> None:
        """The other side has so many of this session."""
        self._drop(min(count + 1 - self._first, len(self._messages)))

    def restart(self, still_wanted: Callable[[Message], bool]) -> None:
        """A new session: the count begins anew, with what was not heard in the old one and still tells something."""
        self._first = 1
        self._messages = deque(filter(still_wanted, self._messages))

    def unheard(self) -> Said[Message]:
        """All that the other side may not have."""
        return Said(self._first, tuple(self._messages))

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._messages.popleft()
            self._first += 1


@dataclass(frozen=True, slots=True)
class Poll:
    """`host`: its UUID; `heard`: how many messages of this session the agent has; `epoch`: of the keys it knows."""

    host: str
    session: str
    turn: int
    nonce: str
    heard: int
    epoch: int
    said: Said[Answer]
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Reply:
    """`received`: the server's elapsed clock when the poll came, which the times in its messages are to be compared
    with; `keys`: where the agent knows an earlier set only."""

    host: str
    session: str
    nonce: str
    heard: int
    received: float
    said: Said[Request]
    keys: SignedKeys | None = None


def encode_poll(poll: Poll) -> bytes:
    """A poll as bytes, to be signed."""
    told = {"version": poll.version, "turn": poll.turn, "epoch": poll.epoch}
    return wire.dumps({**_common(poll), **told})


def decode_poll(body: bytes) -> Poll:
    """Raises Malformed."""
    value = wire.loads(body)
    return Poll(
        host=wire.text(value.get("host")),
        session=wire.text(value.get("session")),
        turn=wire.whole(value.get("turn")),
        nonce=wire.text(value.get("nonce")),
        heard=wire.whole(value.get("heard")),
        epoch=wire.whole(value.get("epoch")),
        said=_said(value, messages.answer_of),
        version=wire.whole(value.get("version")),
    )


def encode_reply(reply: Reply) -> bytes:
    """A reply as bytes, to be signed."""
    keys = None if reply.keys is None else [reply.keys.body, reply.keys.signature]
    return wire.dumps({**_common(reply), "received": int(reply.received * 1e6), "keys": keys})


def decode_reply(body: bytes) -> Reply:
    """Raises Malformed."""
    value = wire.loads(body)
    keys = value.get("keys")
    return Reply(
        host=wire.text(value.get("host")),
        session=wire.text(value.get("session")),
        nonce=wire.text(value.get("nonce")),
        heard=wire.whole(value.get("heard")),
        received=wire.whole(value.get("received")) / 1e6,
        said=_said(value, messages.request_of),
        keys=None if keys is None else SignedKeys(*map(_long_text, wire.exactly(2, keys))),
    )


def _common(one: Poll | Reply) -> dict[str, Any]:
    return {
        "host": one.host,
        "session": one.session,
        "nonce": one.nonce,
        "heard": one.heard,
        "first": one.said.first,
        "said": [messages.as_json(message) for message in one.said.messages if message],
    }


def _said(value: Mapping[str, Any], read: Callable[[Json], Message]) -> Said[Message]:
    listed = wire.items(value.get("said"))
    if len(listed) > MOST_MESSAGES:
        raise Malformed(f"{len(listed)} messages at once are more than {MOST_MESSAGES}")
    return Said(wire.whole(value.get("first")), tuple(_read(wire.obj(each), read) for each in listed))


def _read(value: Json, read: Callable[[Json], Message]) -> Message | None:
    """None for what only a newer version says: it keeps its number, so that the count is right."""
    try:
        return read(value)
    except Unknown:
        return None


def _long_text(value: object) -> str:
    """Certificates are longer than other texts."""
    if not isinstance(value, str) or len(value) > 1 << 16:
        raise Malformed(f"{value!r:.60} is not a text of at most {1 << 16} characters")
    return value
