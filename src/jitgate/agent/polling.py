"""The agent's end of the link to a server elsewhere: it polls, for ever.

It believes what a key of the key set has signed, for the very poll that it sent. What is left of a grant it counts from
when it sent that poll, on its own clock: however long an answer is held up, no grant gets longer.
"""

import contextlib
import http.client
import json
import logging
import os
import random
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from jitgate.agent import channel, membership
from jitgate.agent.channel import Channel
from jitgate.agent.membership import Membership
from jitgate.clock import Clock
from jitgate.connectors.hosts import polls, proofs
from jitgate.connectors.hosts.messages import Answer, Applied, Apply, Discover, Failed, Hosts, Request
from jitgate.connectors.hosts.polls import HOLD_SECONDS, Outbox, Poll, Reply, Said
from jitgate.connectors.hosts.wire import Malformed
from jitgate.failpoints import failpoint
from jitgate.trust import signatures
from jitgate.trust.keyset import SignedKeys
from jitgate.trust.signatures import Forged, SigningKey

_ANSWERING_MAY_TAKE = 1.0
_TOO_LARGE, _MISDIRECTED = 413, 421
_MOST_MISDIRECTED, _LOOKING_PAUSE = 12, 0.05
_PATIENCE_SECONDS = HOLD_SECONDS + 15
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0
_LONGEST_PAUSE_IF_REFUSED = 3.0
"""Where nothing listens, asking costs nobody anything: the server is probably being started."""

_log = logging.getLogger("jitgate.agent")


class Turned(Exception):
    """The server did not take the poll: it does not know this host, or has trouble of its own."""


class Misdirected(Turned):
    """Another replica of the server holds the session."""


class PollingLink:
    """Any thread may say something; one reads. Raises Forged if the membership is damaged."""

    def __init__(self, directory: Path, member: Membership, key: SigningKey, clock: Clock) -> None:
        self._directory = directory
        self._key = key
        self._clock = clock
        self._changing = threading.Condition()
        self._outbox: Outbox[Answer] = Outbox()
        self._unanswered: set[int] = set()
        self._is_held = False
        self._misdirected = 0
        self._session, self._turn, self._heard = "", 0, 0
        self._on_session: Callable[[], None] = lambda: None
        self._believe(member)

    def requests(self) -> Iterator[Request]:
        """What the server asks, as it comes, for ever."""
        failures = 0
        while True:
            try:
                new = self._take_turn()
            except Misdirected:
                self._look_elsewhere()
                continue
            except (OSError, http.client.HTTPException, Malformed, Forged, Turned) as error:
                if not self._channel.interrupted:
                    failures += 1
                    self._pause(failures, error)
                continue
            failures = self._misdirected = 0
            yield from new
            self._wait_until_answered()

    def say(self, answer: Answer) -> None:
        """Tell the server: at once, if it can be reached."""
        if isinstance(answer, Applied):
            answer = replace(answer, report=proofs.sign(answer.report, self._key, self._clock.wall()))
        with self._changing:
            self._outbox.add(answer)
            if isinstance(answer, (Hosts, Applied, Failed)):
                self._unanswered.discard(answer.number)
            self._changing.notify_all()
            if self._is_held:
                self._channel.interrupt()

    def on_session(self, begun: Callable[[], None]) -> None:
        """What to do whenever the server knows nothing of what was said before."""
        self._on_session = begun

    # --- one turn -------------------------------------------------------------------------------------

    def _take_turn(self) -> list[Request]:
        with self._changing:
            self._turn += 1
            # What begins a session is not heard: it only has to be small enough for a server that knows of none.
            said = self._outbox.unheard() if self._session else Said()
            self._is_held, self._channel.interrupted = True, False
        nonce = signatures.encode(os.urandom(16))
        poll = Poll(self._member.host, self._session, self._turn, nonce, self._heard, self._keys.epoch, said)
        try:
            sent = self._clock.elapsed()
            answer = self._send(polls.encode_poll(poll))
        finally:
            with self._changing:
                self._is_held = False
        reply = self._opened(answer, nonce)
        failpoint("agent.link.received")
        return self._requests(reply, sent)

    def _send(self, body: bytes) -> channel.Answer:
        signed = f"Agent {self._member.host} {self._key.sign(polls.POLL, body)}"
        failpoint("agent.link.before_send")
        try:
            answer = self._channel.exchange(
                "POST", polls.POLL_PATH, body, {"Authorization": signed, "Jitgate-Session": self._session}
            )
        except ssl.SSLCertVerificationError:
            self._fetch_keys()
            raise
        failpoint("agent.link.after_send")
        if answer.status == _TOO_LARGE:
            # A server that knows nothing of this session takes no more than begins one.
            self._session = ""
        if answer.status == _MISDIRECTED:
            raise Misdirected(_message(answer.body))
        if answer.status != 200:
            raise Turned(f"the server answered {answer.status}: {_message(answer.body)}")
        return answer

    def _opened(self, answer: channel.Answer, nonce: str) -> Reply:
        """The reply, seen to be the server's, to this very poll. Raises Forged, Malformed."""
        signature = answer.headers.get("jitgate-signature", "")
        reply = polls.decode_reply(answer.body)
        if reply.keys is not None:
            self._take_over(reply.keys)
        if not any(signatures.is_signed(key, polls.REPLY, answer.body, signature) for key in self._keys.controllers):
            raise Forged("the reply is not signed by the server")
        if reply.nonce != nonce or reply.host != self._member.host:
            raise Forged("the reply is to another poll")
        return reply

    def _requests(self, reply: Reply, sent: float) -> list[Request]:
        with self._changing:
            if reply.session != self._session:
                self._begin(reply.session)
            self._outbox.heard(reply.heard)
            new = [_as_of(request, reply.received, sent) for request in reply.said.after(self._heard)]
            self._heard = max(self._heard, reply.said.last)
            self._unanswered |= {each.number for each in new if isinstance(each, (Apply, Discover))}
        return new

    def _begin(self, session: str) -> None:
        """The server is new, or has forgotten: what it asked in the old session it does not wait for any more."""
        _log.info("the server %s is reached", self._member.url)
        self._session, self._turn, self._heard = session, 0, 0
        self._unanswered.clear()
        self._outbox.restart(lambda each: not isinstance(each, (Hosts, Applied, Failed)))
        self._on_session()

    def _wait_until_answered(self) -> None:
        """What is asked mostly takes a moment: the next poll can bring the answer, and need not be interrupted."""
        with self._changing:
            self._changing.wait_for(lambda: not self._unanswered, _ANSWERING_MAY_TAKE)
            self._unanswered.clear()

    # --- trust ----------------------------------------------------------------------------------------

    def _believe(self, member: Membership) -> None:
        self._member = member
        self._keys = member.keyset
        self._channel = Channel(member.url, channel.trusting(self._keys.authorities), _PATIENCE_SECONDS)

    def _renew(self, keys: SignedKeys) -> None:
        """Take over a later key set. Raises Forged."""
        later = self._member.with_keys(keys)
        membership.write(self._directory, later)
        self._channel.close()
        self._believe(later)
        _log.info("the server's keys have been rotated; epoch %d", self._keys.epoch)

    def _take_over(self, keys: SignedKeys) -> None:
        """The same; a root that this host was never told of has maybe followed while it was away."""
        try:
            self._renew(keys)
        except Forged:
            self._fetch_keys()
            if self._member.keys != keys:
                raise

    def _fetch_keys(self) -> None:
        """The server's certificate is by an authority that is not known, or its keys by another root: maybe there are
        new ones. A root that is believed has signed them, so it does not matter who brings them."""
        asking = Channel(self._member.url, channel.trusting_nobody(), _ANSWERING_MAY_TAKE * 10)
        try:
            told = json.loads(asking.exchange("GET", polls.KEYS_PATH).body)
            for each in (*told.get("handedOver", ()), told):
                keys = SignedKeys(str(each["body"]), str(each["signature"]))
                with contextlib.suppress(Forged):  # What this host has known for long.
                    self._renew(keys)
            if self._member.keys != keys:
                raise Forged("none of them is by a root key that this host believes, and later than what it knows")
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, Forged) as error:
            _log.warning("no later keys: %s", error)
        finally:
            asking.close()

    # --- trouble --------------------------------------------------------------------------------------

    def _look_elsewhere(self) -> None:
        """Connect anew: a balancer may then lead to the replica that holds the session. If it is not found, it has
        ended, or cannot be reached: then whoever can be is as good."""
        self._misdirected += 1
        if self._misdirected > _MOST_MISDIRECTED:
            self._session, self._misdirected = "", 0
        threading.Event().wait(random.uniform(0, _LOOKING_PAUSE))  # noqa: S311 - it hides nothing

    def _pause(self, failures: int, error: Exception) -> None:
        if failures & (failures - 1) == 0:
            _log.warning("the server %s is not reached; what is open ends at its deadline: %s", self._member.url, error)
        most = _LONGEST_PAUSE_IF_REFUSED if isinstance(error, ConnectionRefusedError) else _LONGEST_PAUSE
        longest = min(_FIRST_PAUSE * 2 ** min(failures, 10), most)
        # Not all at once: ten thousand agents may have lost the same server. It hides nothing, so any chance will do.
        threading.Event().wait(random.uniform(longest / 2, longest))  # noqa: S311


def _as_of(request: Request, received: float, sent: float) -> Request:
    """The same by this machine's clock: the server had the poll no earlier than it was sent."""
    if not isinstance(request, Apply):
        return request
    return replace(request, worked_out=sent + (request.worked_out - received))


def _message(body: bytes) -> str:
    """What an error says, for the log."""
    try:
        return str(json.loads(body)["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return ascii(body[:100])
