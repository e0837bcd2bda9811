"""The server's end of the link to one host elsewhere: one session after the other, one held poll at a time."""

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from jitgate.connectors.hosts.budget import Budget
from jitgate.connectors.hosts.messages import Answer, Apply, Request
from jitgate.connectors.hosts.polls import Outbox, Poll, Said
from jitgate.connectors.hosts.wire import LARGEST
from jitgate.trust.signatures import Forged

LARGEST_OF_STRANGERS = 64 << 10
"""Bytes in a poll of no session that is under way: it says nothing that counts."""

_LARGEST_UNASKED = 4 << 20
_BYTES_A_KEY = 256
"""At most, in the answer to what asks for so many keys."""

_LAST_ASKED = 16
"""More than can be asked while an agent says nothing, and has not been silent for too long."""


@dataclass(frozen=True, slots=True)
class Member:
    """A host that has joined. `uuid`: its machine's; `key`: the public key that it signs with; `place`: of a gateway,
    where people connect to, "" of a host."""

    uuid: str
    scope: str
    key: str
    place: str = ""


class Line:
    """For one event loop.

    `session`  what the agent's polls must name; `former`: the one before it
    `heard_at` when the last poll came, on the elapsed clock
    `may_begin`, `may_tell`, `may_alarm`  how many sessions there may be, how much may be said
               unasked, and how often two agents with one key are told of
    """

    def __init__(self, member: Member) -> None:
        self.member = member
        self.session = self.former = ""
        self.heard_at = 0.0
        self.heard = 0
        self.may_begin, self.may_tell, self.may_alarm = Budget(20, 0.5), Budget(200, 1.0), Budget(1, 1 / 60)
        self._asked: deque[int] = deque(maxlen=_LAST_ASKED)
        self._turn = 0
        self._outbox: Outbox[Request] = Outbox()
        self._held: asyncio.Future[None] | None = None

    def is_in(self, session: str) -> bool:
        """Whether this is the session under way."""
        return bool(session) and secrets.compare_digest(session.encode(), self.session.encode())

    def largest(self, session: str) -> int:
        """Bytes in a poll, at most: an answer is as long as what was asked."""
        if not self.is_in(session):
            return LARGEST_OF_STRANGERS
        return min(LARGEST, _LARGEST_UNASKED + sum(self._asked) * _BYTES_A_KEY)

    def begin(self) -> None:
        """Begin a new session. What was said in the old one, and not heard, is not said again."""
        self._end_hold()
        self.former, self.session = self.session, secrets.token_urlsafe(16)
        self.heard = self._turn = 0
        self._outbox = Outbox()
        self._asked.clear()

    def hear(self, poll: Poll) -> Sequence[Answer]:
        """What a poll of this session says that is new. Raises Forged for one that came before."""
        if poll.turn <= self._turn:
            raise Forged(f"a poll of {self.member.scope} was sent twice")
        self._turn = poll.turn
        self._outbox.heard(poll.heard)
        new = poll.said.after(self.heard)
        self.heard = max(self.heard, poll.said.last)
        return new

    def say(self, request: Request) -> None:
        """Have the agent told, by the poll that is held or by its next one."""
        self._outbox.add(request)
        if isinstance(request, Apply):
            self._asked.append(len(request.desired.access))
        self._end_hold()

    async def unheard(self, hold: float) -> Said[Request]:
        """What the agent has not heard; waited for as long as `hold`, or until another poll comes."""
        self._end_hold()
        if not self._outbox:
            held = self._held = asyncio.get_running_loop().create_future()
            await asyncio.wait([held], timeout=hold)
        return self._outbox.unheard()

    def let_go(self) -> None:
        """Have the poll that is held answered now."""
        self._end_hold()

    def _end_hold(self) -> None:
        if self._held is not None and not self._held.done():
            self._held.set_result(None)
        self._held = None
