"""Alterations: what a firewall must change of what others made, so that a protected port is really shut.

An alteration is kept with its original before anything is done, and done only once somebody has agreed to it. It stands
for as long as any scope needs it; then the original is put back.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """How far an alteration has come. From `agreed` on it may have been carried out, whatever is known of it."""

    PROPOSED = "proposed"
    AGREED = "agreed"
    ALTERED = "altered"
    RESTORING = "restoring"

    @property
    def is_agreed(self) -> bool:
        """Whether it is to be carried out, and kept so."""
        return self in (Stage.AGREED, Stage.ALTERED)


@dataclass(frozen=True, slots=True)
class Alteration:
    """One rule that others made, and what is to become of it.

    `key`       what its connector knows it by: the same each time it is looked at, also when it has been carried out
    `what`      what is done to it, for people
    `original`  all that it takes to put it back exactly, as JSON
    `ports`     the protected ports that it is for, as ``tcp/22``
    `concerns`  all that it counts for: ids of machines, or texts for people where something is no machine
    """

    key: str
    what: str
    original: Mapping[str, Any]
    ports: Sequence[str] = ()
    concerns: Sequence[str] = ()

    def encode(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "key": self.key,
            "what": self.what,
            "original": dict(self.original),
            "ports": list(self.ports),
            "concerns": list(self.concerns),
        }

    @classmethod
    def decode(cls, body: Mapping[str, Any]) -> "Alteration":
        """What `encode` wrote."""
        return cls(body["key"], body["what"], body["original"], tuple(body["ports"]), tuple(body["concerns"]))


def digest(alterations: Iterable[Alteration]) -> str:
    """What somebody agrees to, by one short text: these alterations to the last letter, and no others."""
    bodies = sorted((each.encode() for each in alterations), key=lambda body: str(body["key"]))
    text = json.dumps(bodies, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
