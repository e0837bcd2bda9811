"""Keys that follow one another in one file, so that what one has signed is believed while the next signs already.

::

    -----BEGIN PRIVATE KEY-----              in use from the beginning
    …
    Used-From: 2030-01-31T12:00:00+00:00     in use from then on; believed from now on
    -----BEGIN PRIVATE KEY-----
    …

When each key is used stands in the file, so replicas that have copies of it go over at the same moment. What stands
between the blocks is for us; whatever else reads PEM skips it (RFC 7468, 5.2).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

MOST = 20
"""Keys in one file."""

_ENTRY = re.compile(
    rb"(?:^Used-From: (?P<since>\S{20,40})\n)?"
    rb"(?P<pem>^-----BEGIN (?P<label>[A-Z ]{1,40})-----\n[\w\s+/=]{1,4000}?^-----END (?P=label)-----$\n?)",
    re.ASCII | re.MULTILINE,
)

Key = TypeVar("Key")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class Entry(Generic[Key]):
    """A key, and from when on it is used; None: from the beginning."""

    key: Key
    since: datetime | None = None

    def is_used(self, now: datetime) -> bool:
        """Whether its time has come."""
        return self.since is None or self.since <= now


@dataclass(frozen=True, slots=True)
class Succession(Generic[Key]):
    """Keys in the order in which they are used; one at least."""

    entries: tuple[Entry[Key], ...]

    def current(self, now: datetime) -> Key:
        """The one that signs."""
        return self.entries[self._at(now)].key

    def believed(self, now: datetime, life: timedelta) -> tuple[Key, ...]:
        """Those whose signatures count, the one that signs first: each until what it signed has lived for `life`."""
        at = self._at(now)
        kept = self.without_former(now, life).entries
        return tuple(entry.key for entry in sorted(kept, key=lambda entry: entry is not self.entries[at]))

    def without_former(self, now: datetime, life: timedelta = timedelta()) -> "Succession[Key]":
        """Without those that another has followed for longer than `life`."""
        used = self.entries[: self._at(now) + 1]
        gone = sum(1 for follower in used[1:] if follower.since is None or follower.since + life <= now)
        return Succession(self.entries[gone:])

    def waits(self, now: datetime) -> Entry[Key] | None:
        """The next one, where it is there already."""
        return next((entry for entry in self.entries if not entry.is_used(now)), None)

    def map(self, read: Callable[[Key], Other]) -> "Succession[Other]":
        """The same of other keys."""
        return Succession(tuple(Entry(read(entry.key), entry.since) for entry in self.entries))

    def followed_by(self, key: Key, since: datetime, now: datetime) -> "Succession[Key]":
        """With one more. Raises ValueError where another waits, or there are too many."""
        if waiting := self.waits(now):
            raise ValueError(f"the next key is there already, and used from {waiting.since:%Y-%m-%d %H:%M} UTC")
        if len(self.entries) >= MOST:
            raise ValueError("there are too many keys")
        return Succession((*self.entries, Entry(key, since)))

    def _at(self, now: datetime) -> int:
        return max((at for at, entry in enumerate(self.entries) if entry.is_used(now)), default=0)


def parse(content: bytes) -> Succession[bytes]:
    """The keys in a file, as PEM. Raises ValueError for a damaged one."""
    found = list(_ENTRY.finditer(content))
    if not found or len(found) > MOST or _ENTRY.sub(b"", content).strip():
        raise ValueError("this is not one key as PEM, or several, each after the moment from which on it is used")
    entries = [Entry(each["pem"], _moment(each["since"])) for each in found]
    moments = [entry.since for entry in entries[1:] if entry.since is not None]
    if len(moments) + 1 != len(entries) or moments != sorted(moments):
        raise ValueError("the moments from which on keys are used are missing, or out of order")
    return Succession(tuple(entries))


def encode(keys: Succession[bytes]) -> bytes:
    """The content of a file."""
    return b"".join(
        (b"" if entry.since is None else f"Used-From: {entry.since.isoformat()}\n".encode()) + entry.key
        for entry in keys.entries
    )


def _moment(text: bytes | None) -> datetime | None:
    """Raises ValueError."""
    moment = None if text is None else datetime.fromisoformat(text.decode("ascii"))
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"{moment} is not a moment in UTC")
    return moment
