"""How the record is written where others check it: lines of ASCII JSON, keys sorted, nothing between the tokens.

Events are sealed in batches. Each batch has a head: how many events it holds, the root of the Merkle tree over
their lines, and the digest of the head before. Heads are signed. Whoever holds the lines and the public key can
work all of it out again: a leaf of the tree is the line itself, byte for byte, without its newline.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

PURPOSE = "record head 1"
"""What a head is signed for."""

FOLLOWS = "record key follows 1"
"""What the first head by another key is signed for by the former one."""

NOTHING_BEFORE = "0" * 64
MOST_EVENTS = 1000
"""The most events that one head seals."""

_HEAD = b"\x02"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAMES = frozenset({"at", "count", "first", "key", "number", "previous", "root"})
_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Head:
    """What is signed of one batch.

    `number`    1, 2, 3, …
    `first`     the sequence of the batch's first event; `count`: how many there are
    `root`      of the Merkle tree over the lines, in hexadecimal
    `previous`  the digest of the head before; 64 zeros: there is none
    `at`        when it was sealed, UTC
    `key`       the public key that its signature is by
    """

    number: int
    first: int
    count: int
    root: str
    previous: str
    at: datetime
    key: str

    @property
    def last(self) -> int:
        """The sequence of the batch's last event."""
        return self.first + self.count - 1

    @property
    def body(self) -> bytes:
        """The bytes that are signed."""
        return encode(self._values())

    @property
    def digest(self) -> str:
        """What the next head calls this one by."""
        return sha256(_HEAD + self.body).hexdigest()

    def line(self, signature: str) -> bytes:
        """The head with its signature, as it stands in files."""
        return encode({"head": self._values(), "signature": signature})

    def _values(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in _NAMES}, "at": moment(self.at)}


def encode(value: Mapping[str, Any]) -> bytes:
    """One line, without its newline."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def moment(at: datetime) -> str:
    """A time, to the microsecond, always in the same form."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_head(values: object) -> Head:
    """A head as `Head.line` wrote it. Raises ValueError."""
    if not isinstance(values, dict) or values.keys() != _NAMES:
        raise ValueError("this is not a head")
    return Head(
        number=_whole(values["number"]),
        first=_whole(values["first"]),
        count=_whole(values["count"]),
        root=_digest(values["root"]),
        previous=_digest(values["previous"]),
        at=datetime.strptime(_text(values["at"]), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC),
        key=_text(values["key"]),
    )


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _LARGEST:
        raise ValueError(f"{value!r:.40} is not a number of a head")
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(f"{value!r:.80} is not a digest")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} is not a text")
    return value
