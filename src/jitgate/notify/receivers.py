"""Where notifications go: a signed webhook (Standard Webhooks), or whatever Apprise knows.

Both block; the notifier runs them in a thread. Addresses come from the administrator's file alone, and no answer leads
to another address.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from jitgate.core.errors import Invalid
from jitgate.core.topics import Topic
from jitgate.notify.message import Message
from jitgate.trust.files import Replaceable

TIMEOUT_SECONDS = 10.0
SHORTEST_SECRET, LONGEST_SECRET = 24, 64
MOST_SECRETS = 5
_PREFIX = "whsec_"
_BAD_MESSAGE = {400, 413, 415, 422}
"""What a receiver answers that will never take this message, and may take the next."""


class Undelivered(Exception):
    """A receiver did not take a message; it is offered again. `is_refused`: this one, it never will."""

    def __init__(self, why: str, *, is_refused: bool = False) -> None:
        super().__init__(why)
        self.is_refused = is_refused


class Receiver(Protocol):
    """Somebody who is told. `name` is what its progress is kept under, `topics` what it wants to hear of."""

    @property
    def name(self) -> str: ...

    @property
    def topics(self) -> frozenset[Topic]: ...

    def send(self, message: Message, now: datetime) -> None:
        """Have it taken before this returns. Raises Undelivered."""
        ...


class Webhook:
    """Posts a message, signed as Standard Webhooks has it: over its id, the time of this attempt, and its body."""

    def __init__(self, name: str, topics: frozenset[Topic], url: str, secrets: Callable[[], Sequence[bytes]]) -> None:
        """`secrets`: of this moment; all of them sign, so that a receiver may know the next one or the former."""
        self.name, self.topics = name, topics
        self._url, self._secrets = url, secrets

    def send(self, message: Message, now: datetime) -> None:
        headers = {"Content-Type": "application/json", **signature(self._secrets(), message, now)}
        try:
            with httpx.stream(
                "POST",
                self._url,
                content=message.body,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                follow_redirects=False,
            ) as answer:
                # What it says beside its status is not read: it may never end.
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Undelivered(type(error).__name__) from None
        if not 200 <= status < 300:
            raise Undelivered(f"it answers {status}", is_refused=status in _BAD_MESSAGE)


class Channel:
    """Tells people in Slack, Teams, by e-mail or wherever else Apprise can. `tell`: takes title and text."""

    def __init__(self, name: str, topics: frozenset[Topic], tell: Callable[[str, str], bool]) -> None:
        self.name, self.topics = name, topics
        self._tell = tell

    def send(self, message: Message, now: datetime) -> None:  # noqa: ARG002 - a webhook signs the time
        try:
            taken = self._tell(message.title, message.text)
        except Exception as error:  # noqa: BLE001 - a hundred plugins raise what they like
            raise Undelivered(type(error).__name__) from None
        if not taken:
            raise Undelivered("Apprise could not deliver it; its own log may say why")


def signature(secrets: Sequence[bytes], message: Message, now: datetime) -> Mapping[str, str]:
    """The headers of Standard Webhooks 1.0, symmetric (``v1``): a signature by each secret."""
    at = str(int(now.timestamp()))
    signed = f"{message.id}.{at}.".encode() + message.body
    codes = [base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets]
    by_all = " ".join(f"v1,{code}" for code in codes)
    return {"webhook-id": message.id, "webhook-timestamp": at, "webhook-signature": by_all}


def read_secrets(path: Path, setting: str) -> Callable[[], Sequence[bytes]]:
    """A webhook's secrets out of their file, as it is at each call: one on each line, ``whsec_`` and 24 to 64 bytes in
    base64. Raises Invalid, without them."""

    def read(content: bytes) -> Sequence[bytes]:
        lines = content.decode("utf-8", "replace").split()
        if not 0 < len(lines) <= MOST_SECRETS:
            raise Invalid(setting, f"{path} holds {len(lines)} lines", allowed=f"1 to {MOST_SECRETS} secrets")
        return [_secret(line, path, setting) for line in lines]

    try:
        return Replaceable(path, read).now
    except OSError as error:
        raise _unreadable(path, setting, error.strerror) from None


def _secret(text: str, path: Path, setting: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(_PREFIX) or not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        allowed = f"{_PREFIX} and {SHORTEST_SECRET} to {LONGEST_SECRET} bytes in base64"
        raise Invalid(setting, f"{path} holds no secret for a webhook", allowed=allowed)
    return secret


def apprise_channel(path: Path, setting: str) -> Callable[[str, str], bool]:
    """What tells the addresses in a file, of which there is one on each line. Raises Invalid, without them."""
    try:
        import apprise
    except ImportError:
        raise Invalid(setting, "Apprise is not installed", allowed="pip install 'jitgate[notify]'") from None
    channel: Any = apprise.Apprise()
    lines: Sequence[str] = [line.strip() for line in _read(path, setting).splitlines() if line.strip()]
    if not lines or not all(channel.add(line) for line in lines):
        raise Invalid(setting, f"{path} has a line that Apprise does not understand", allowed="Apprise's addresses")

    def tell(title: str, text: str) -> bool:
        # As text: else what somebody has written goes into an e-mail as HTML, and into a chat as links.
        return bool(channel.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT))

    return tell


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, setting, getattr(error, "strerror", None) or "it is not text") from None


def _unreadable(path: Path, setting: str, why: str | None) -> Invalid:
    return Invalid(setting, f"{path} cannot be read: {why}", allowed="a file that jitgate may read")
