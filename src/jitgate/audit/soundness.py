"""Whether the record in a database is what was sealed: the same look that anybody can take at an export of it."""

from collections.abc import Collection, Iterator

from jitgate import audit
from jitgate.core.record_trust import Trust
from jitgate.core.verification import Finding, Verifier
from jitgate.store import heads
from jitgate.store.database import Tx
from jitgate.trust import signatures


def look(tx: Tx, keys: Collection[str]) -> Finding:
    """Read all that is sealed. `keys`: the public halves of the keys that may have sealed it."""
    return Verifier(Trust(keys, signatures.is_signed)).verify(_lines(tx))


def _lines(tx: Tx) -> Iterator[bytes]:
    number = 0
    while page := heads.page(tx, number):
        for sealed in page:
            yield from map(audit.line, heads.events(tx, sealed.head))
            yield sealed.line
        number = page[-1].head.number
