"""The server's end of the link to one host elsewhere: one session after the other, one held poll at a time."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from jitgate.connectors.hosts.messages import Answer, Request
from jitgate.connectors.hosts.polls import Outbox, Poll, Said
from jitgate.trust.signatures import Forged


@dataclass(frozen=True, slots=True)
class Member:
    """A host that has joined. `uuid`: its machine's; `key`: the public key that it signs with."""

    uuid: str
    scope: str
    key: str


class Line:
    """For one event loop.

    `session`  what the agent's polls must name; `former`: the one before it
    `heard_at` when the last poll came, on the elapsed clock
    """

    def __init__(self, member: Member) -> None:
        self.member = member
        self.session = self.former = ""
        self.heard_at = 0.0
        self.heard = 0
        self._turn = 0
        self._outbox: Outbox[Request] = Outbox()
        self._held: asyncio.Future[None] | None = None

    def is_in(self, session: str) -> bool:
        """Whether this is the session under way."""
        return bool(session) and secrets.compare_digest(session.encode(), self.session.encode())

    def begin(self) -> None:
        """Begin a new session. What was said in the old one, and not heard, is not said again."""
        self._end_hold()
        self.former, self.session = self.session, secrets.token_urlsafe(16)
        self.heard = self._turn = 0
        self._outbox = Outbox()

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
        self._end_hold()

    async def unheard(self, hold: float) -> Said[Request]:
        """What the agent has not heard; waited for as long as `hold`, or until another poll comes."""
        self._end_hold()
        if not self._outbox:
            held = self._held = asyncio.get_running_loop().create_future()
            await asyncio.wait([held], timeout=hold)
        return self._outbox.unheard()

    def _end_hold(self) -> None:
        if self._held is not None and not self._held.done():
            self._held.set_result(None)
        self._held = None
