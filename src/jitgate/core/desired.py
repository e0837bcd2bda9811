"""What a scope must hold now: the union of the live grants that ask for it.

Grants are unioned, never added and removed one by one. The truth about a key is worked out from *all*
live grants that name it, so overlap, extension and early close of one of two need no case of their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from jitgate.core.alteration import Alteration
from jitgate.core.prefixes import Prefix


class Protocol(StrEnum):
    """A port's protocol in the contract's spelling. `*` stands for TCP and UDP."""

    TCP = "TCP"
    UDP = "UDP"
    ANY = "*"

    @property
    def each(self) -> tuple["Protocol", ...]:
        """The single protocols that this one stands for."""
        return (Protocol.TCP, Protocol.UDP) if self is Protocol.ANY else (self,)


class SessionEnd(StrEnum):
    """What becomes of an established session when its grant expires. A revoke always cuts it."""

    KEEP = "keep"
    END = "end"


# Tuples, because a scope has up to 100,000 keys, and each is hashed and compared many times in a sweep.


class PortKey(NamedTuple):
    """One port of one machine. `protocol` is TCP or UDP."""

    machine: str
    port: int
    protocol: Protocol

    def __str__(self) -> str:
        return f"{self.protocol.lower()}/{self.port}"


class AccessKey(NamedTuple):
    """One port of one machine from one canonical source prefix. `protocol` is TCP or UDP."""

    machine: str
    port: int
    protocol: Protocol
    prefix: Prefix

    @property
    def target(self) -> PortKey:
        return PortKey(self.machine, self.port, self.protocol)

    def __str__(self) -> str:
        return f"{self.protocol.lower()}/{self.port} from {self.prefix}"


@dataclass(frozen=True, slots=True)
class Protection:
    """How a protected port is held shut.

    `force`: protect it even if that cuts off an established connection that nothing covers.
    `enforce`: a guardrail demands that it is shut, also where a rule that others made for this machine alone lets it be
    reached.
    """

    session: SessionEnd = SessionEnd.KEEP
    force: bool = False
    enforce: bool = False


class Want(NamedTuple):
    """One grant's claim on one key, until `end` (UTC)."""

    key: AccessKey
    end: datetime


@dataclass(frozen=True, slots=True)
class Desired:
    """What a scope must hold.

    `at`          the service's time (UTC) when this was worked out. What is left of a grant is its end
                  minus this, not minus an enforcer's own wall clock, which may be wrong or stepped
    `machines`    the machines (UUIDs) that this value speaks for
    `protected`   all protected ports of those machines
    `access`      per key the latest end (UTC), or None: must be shut
    `cut`         shut keys whose established sessions must go too, until this time (UTC)
    `complete`    the whole truth of the scope: every key that is not listed must be shut, and every
                  machine that is not listed is unprotected. Otherwise the truth of the listed keys and
                  machines only.
    `altered`     what its connector has changed of what others made, or may have, with consent; only where `complete`
    """

    scope: str
    generation: int
    at: datetime
    machines: frozenset[str]
    protected: Mapping[PortKey, Protection]
    access: Mapping[AccessKey, datetime | None]
    cut: Mapping[AccessKey, datetime] = field(default_factory=dict)
    complete: bool = False
    altered: Sequence[Alteration] = ()


def union(keys: Iterable[AccessKey], wants: Iterable[Want], now: datetime) -> dict[AccessKey, datetime | None]:
    """Per key the latest end that any live grant asks for; None where none does."""
    latest: dict[AccessKey, datetime | None] = dict.fromkeys(keys)
    for want in wants:
        known = latest.get(want.key)
        if want.end > now and (known is None or want.end > known):
            latest[want.key] = want.end
    return latest
