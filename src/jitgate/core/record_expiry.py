"""That retention has deleted events: said by an event, and signed, so that nobody else can say it.

An event is sealed whoever has written it into the database. So what excuses missing events is not that it was sealed,
but a signature of its own by the key that seals.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jitgate.core.record import Head, encode, moment
from jitgate.core.record_trust import IsSigned

OPERATION = "Jitgate.Access/activity/expire"

PURPOSE = "record expiry 1"
"""What it is signed for."""

_SIGNED = ("at", "head", "headDigest", "retentionDays", "through")
_LARGEST = 1 << 62
_LONGEST = 100_000
"""Days; more than there are before any date."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """The events up to the end of a batch were deleted at a moment, since it had been sealed for so many days.

    `through`  the sequence of the last one; `head`, `digest`: which head that batch has
    """

    through: int
    head: int
    digest: str
    retention_days: int
    at: str

    @staticmethod
    def of(head: Head, retention: timedelta, at: datetime) -> "Expiry":
        """What is said of the last head whose events went."""
        return Expiry(head.last, head.number, head.digest, retention.days, moment(at))

    @property
    def body(self) -> bytes:
        """The bytes that are signed."""
        return encode(self._values())

    def properties(self, key: str, signature: str) -> Mapping[str, Any]:
        """As the event has it. `key`: the public one that the signature is by."""
        return {**self._values(), "key": key, "signature": signature}

    def excuses(self, head: Head) -> bool:
        """Whether the events up to the end of this head's batch may be missing: it is the one, and was old enough."""
        is_the_one = (self.head, self.digest, self.through) == (head.number, head.digest, head.last)
        return is_the_one and moment(head.at + timedelta(days=self.retention_days)) <= self.at

    def _values(self) -> dict[str, Any]:
        values = (self.at, self.head, self.digest, self.retention_days, self.through)
        return dict(zip(_SIGNED, values, strict=True))


@dataclass(frozen=True, slots=True)
class Said:
    """What an event says of that, whoever has written it."""

    expiry: Expiry
    key: str
    signature: str

    def is_signed(self, keys: Collection[str], is_signed: IsSigned) -> bool:
        """Whether one of some keys has signed it."""
        return self.key in keys and is_signed(self.key, PURPOSE, self.expiry.body, self.signature)


def read(properties: object) -> Said | None:
    """What an event's properties say; None for what nobody has written who seals."""
    if not isinstance(properties, dict):
        return None
    try:
        expiry = Expiry(
            through=_number(properties, "through", _LARGEST),
            head=_number(properties, "head", _LARGEST),
            digest=_text(properties, "headDigest"),
            retention_days=_number(properties, "retentionDays", _LONGEST),
            at=_text(properties, "at"),
        )
        return Said(expiry, _text(properties, "key"), _text(properties, "signature"))
    except ValueError:
        return None


def _number(values: Mapping[str, object], name: str, most: int) -> int:
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(name)
    return value


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise ValueError(name)
    return value
