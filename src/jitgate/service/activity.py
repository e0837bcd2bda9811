"""Reading the record. Every export is on record itself."""

from collections.abc import AsyncIterator
from datetime import datetime

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.errors import Invalid
from jitgate.service.attempt import event, require
from jitgate.service.base import Asker, Service
from jitgate.service.views import Page
from jitgate.store import activity
from jitgate.store.activity import Entry, Filter

_PAGE = 1000


async def list_activity(
    service: Service,
    asker: Asker,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    resource: str | None = None,
    operation: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> Page[Entry]:
    """What happened, newest first; `resource` is an id, and what lies below it. Raises Forbidden, Invalid."""
    require(asker, roles.READ_ACTIVITY, _place(resource))
    wanted = Filter(since=since, until=until, within=resource, operation=operation)
    before = _read_token(after)
    found = await service.store.read(lambda tx: activity.newest(tx, wanted, before=before, most=limit + 1))
    shown = tuple(found[:limit])
    return Page(shown, str(shown[-1].id) if len(found) > limit else None)


async def export_activity(
    service: Service,
    asker: Asker,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    resource: str | None = None,
    operation: str | None = None,
) -> AsyncIterator[Entry]:
    """All that happened, oldest first, page by page however long it is. Raises Forbidden."""
    require(asker, roles.READ_ACTIVITY, _place(resource))
    wanted = Filter(since=since, until=until, within=resource, operation=operation)
    facts = {
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
        "operation": operation,
    }
    exported = event(asker, Operation.ACTIVITY_EXPORT, Outcome.SUCCEEDED, resource or "/", facts)
    await service.store.write(lambda tx: audit.record(tx, [exported]))
    last = 0
    while page := await _page(service, wanted, last):
        for entry in page:
            yield entry
        last = page[-1].id


def _place(resource: str | None) -> str:
    """Where the right to read is asked for: at the resource, or everywhere if it has no place among the others."""
    return resource if resource is not None and resource.startswith("/") else "/"


async def _page(service: Service, wanted: Filter, after: int) -> list[Entry]:
    return await service.store.read(lambda tx: activity.oldest(tx, wanted, after=after, most=_PAGE))


def _read_token(after: str | None) -> int | None:
    if after is None:
        return None
    if not (after.isascii() and after.isdigit()) or len(after) > 18:
        raise Invalid("after", "this page was never given out", allowed="the value that the last page ended with")
    return int(after)
