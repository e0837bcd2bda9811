"""Reading the record. Every export is on record itself."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import merkle, roles
from jitgate.core.errors import Invalid
from jitgate.core.record import Head, encode
from jitgate.service.attempt import event, require
from jitgate.service.base import Asker, Service
from jitgate.service.views import Page
from jitgate.store import activity, heads, principals
from jitgate.store.activity import Entry, Filter
from jitgate.store.database import Tx
from jitgate.store.heads import Sealed

_PAGE = 1000
_HEADS = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the record. None: any.

    `resource`  an id, and what lies below it
    `person`    a principal's name, in any case
    `outcomes`  one of these; empty: any
    `provider`  operations of one resource provider
    """

    since: datetime | None = None
    until: datetime | None = None
    resource: str | None = None
    operation: str | None = None
    person: str | None = None
    outcomes: tuple[str, ...] = ()
    correlation: str | None = None
    provider: str | None = None


EVERYTHING = Selection()


def later(moment: datetime, by: timedelta) -> datetime | None:
    """Some time after a moment, as the end of a selection; None, which is no end, where there is no later one."""
    try:
        return moment + by
    except OverflowError:
        return None


async def list_activity(
    service: Service, asker: Asker, wanted: Selection = EVERYTHING, *, limit: int = 100, after: str | None = None
) -> Page[Entry]:
    """What happened, newest first. Raises Forbidden, Invalid."""
    require(asker, roles.READ_ACTIVITY, _place(wanted))
    before = _read_token(after)
    found = await service.store.read(lambda tx: activity.newest(tx, _filter(tx, wanted), before=before, most=limit + 1))
    shown = tuple(found[:limit])
    return Page(shown, str(shown[-1].id) if len(found) > limit else None)


async def export_activity(
    service: Service, asker: Asker, wanted: Selection = EVERYTHING
) -> AsyncIterator[Sequence[Entry]]:
    """All that happened, oldest first, page by page however long it is. Raises Forbidden."""
    await _put_on_record(service, asker, wanted, sealed=False)
    chosen = await service.store.read(lambda tx: _filter(tx, wanted))
    last = 0
    while page := await _page(service, chosen, last):
        yield page
        last = page[-1].id


async def export_sealed(
    service: Service, asker: Asker, wanted: Selection = EVERYTHING
) -> AsyncIterator[Sequence[bytes]]:
    """All that is sealed, with its heads, as `jitgate.core.verification` reads it: lines without their newlines.

    What is left out of a batch is made up for by proofs of what is shown. Raises Forbidden.
    """
    await _put_on_record(service, asker, wanted, sealed=True)
    chosen = await service.store.read(lambda tx: _filter(tx, wanted))
    after = 0 if wanted == EVERYTHING else await service.store.read(lambda tx: _begin(tx, chosen))
    while found := await _sealed_page(service, chosen, after):
        lines, after = found
        yield lines


async def list_heads(service: Service, asker: Asker, *, limit: int = 100, after: str | None = None) -> Page[Sealed]:
    """The sealed heads, oldest first. Raises Forbidden, Invalid."""
    require(asker, roles.READ_ACTIVITY, "/")
    last = _read_token(after) or 0
    found = await service.store.read(lambda tx: heads.page(tx, last, limit + 1))
    shown = tuple(found[:limit])
    return Page(shown, str(shown[-1].head.number) if len(found) > limit else None)


async def last_sealed(service: Service) -> int:
    """The sequence of the newest sealed event; 0: there is none."""
    found = await service.store.read(heads.last)
    return found.head.last if found else 0


async def sealed_after(service: Service, sequence: int, most: int) -> Sequence[Entry]:
    """The next sealed events: not for anybody's eyes, but for who works out whom to tell of them."""
    return await service.store.read(lambda tx: heads.sealed_after(tx, sequence, most))


async def seal(service: Service) -> Sealed | None:
    """The newest sealed head; None: nothing is sealed yet. It says no more than how much there is."""
    return await service.store.read(heads.last)


def _filter(tx: Tx, wanted: Selection) -> Filter:
    """By uid where the person is known: a name alone is looked for in the whole record."""
    known = principals.find(tx, wanted.person) if wanted.person else None
    return Filter(
        since=wanted.since,
        until=wanted.until,
        within=wanted.resource,
        principal=known.uid if known else None,
        caller=None if known else wanted.person,
        operation=wanted.operation,
        outcomes=wanted.outcomes,
        correlation=wanted.correlation,
        provider=wanted.provider,
    )


def _place(wanted: Selection) -> str:
    """Where the right to read is asked for: at the resource, or everywhere if it has no place among the others."""
    resource = wanted.resource
    return resource if resource is not None and resource.startswith("/") else "/"


async def _put_on_record(service: Service, asker: Asker, wanted: Selection, *, sealed: bool) -> None:
    for action in (roles.READ_ACTIVITY, roles.EXPORT_ACTIVITY):
        require(asker, action, _place(wanted))
    facts = {name: getattr(wanted, name) for name in Selection.__slots__ if name != "resource"}
    facts |= {name: moment.isoformat() for name, moment in facts.items() if isinstance(moment, datetime)}
    properties = {**facts, "sealed": sealed}
    exported = event(asker, Operation.ACTIVITY_EXPORT, Outcome.SUCCEEDED, wanted.resource or "/", properties)
    await service.store.write(lambda tx: audit.record(tx, [exported]))


async def _page(service: Service, wanted: Filter, after: int) -> list[Entry]:
    return await service.store.read(lambda tx: activity.oldest(tx, wanted, after=after, most=_PAGE))


def _begin(tx: Tx, wanted: Filter) -> int:
    """The head before the first that a part of the record needs; the newest one where it needs none."""
    found = heads.first_matching(tx, wanted) or heads.last(tx)
    return found.head.number - 1 if found else 0


async def _sealed_page(service: Service, wanted: Filter, after: int) -> tuple[list[bytes], int] | None:
    """Some batches as lines, and the number of the last one."""

    def work(tx: Tx) -> tuple[list[bytes], int] | None:
        batches = _few(heads.page(tx, after, _HEADS))
        if not batches:
            return None
        found = heads.matching(tx, wanted, batches[0].head.first, batches[-1].head.last)
        lines: list[bytes] = []
        for batch in batches:
            mine = [one for one in found if one.sequence and batch.head.first <= one.sequence <= batch.head.last]
            lines += [*_batch(tx, batch.head, mine), batch.line]
        return lines, batches[-1].head.number

    return await service.store.read(work)


def _few(batches: Sequence[Sealed]) -> list[Sealed]:
    """The first of some batches, with about a page of events."""
    few: list[Sealed] = []
    events = 0
    for batch in batches:
        few.append(batch)
        events += batch.head.count
        if events >= _PAGE:
            break
    return few


def _batch(tx: Tx, head: Head, entries: Sequence[Entry]) -> list[bytes]:
    """The events of a batch; with their proofs, if they are not all."""
    if len(entries) in (0, head.count):
        return [audit.line(one) for one in entries]
    leaves = audit.leaves(heads.events(tx, head), head.first)
    return [line for one in entries for line in (audit.line(one), _proof(leaves, head, one.sequence or 0))]


def _proof(leaves: Sequence[bytes], head: Head, sequence: int) -> bytes:
    beside = merkle.path(leaves, sequence - head.first)
    return encode({"path": [each.hex() for each in beside], "sequence": sequence})


def _read_token(after: str | None) -> int | None:
    if after is None:
        return None
    if not (after.isascii() and after.isdigit()) or len(after) > 18:
        raise Invalid("after", "this page was never given out", allowed="the value that the last page ended with")
    return int(after)
