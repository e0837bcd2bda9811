"""The record: every change, every refusal, and what the firewalls did."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from jitgate.service import activity
from jitgate.store.activity import Entry
from jitgate.web.api.forms import After, Limit, Listing, Shown, Text, utc
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/activity", tags=["activity"], route_class=NativeRoute, responses=REFUSALS)


class Format(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSONL = "jsonl"


class ShownEntry(Shown):
    """One line of the record. `sequence` rises without a gap; null until the line is sealed."""

    id: int
    sequence: int | None
    time_utc: datetime
    operation: str
    outcome: str
    caller: str
    address: str | None
    resource: str
    correlation: str
    properties: dict[str, Any]


Since = Annotated[AwareDatetime | None, Query(description="From this moment on.")]
Until = Annotated[AwareDatetime | None, Query(description="Before this moment.")]
Resource = Annotated[Text | None, Query(description="About this id, and what lies below it.")]
OperationQuery = Annotated[Text | None, Query(alias="operation", examples=["Jitgate.Access/grants/open"])]


@router.get("", summary="List activity")
async def list_activity(
    service: CurrentService,
    asker: CurrentAsker,
    since: Since = None,
    until: Until = None,
    resource: Resource = None,
    operation: OperationQuery = None,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownEntry]:
    """The record, newest first."""
    page = await activity.list_activity(
        service,
        asker,
        since=_utc(since, "since"),
        until=_utc(until, "until"),
        resource=resource,
        operation=operation,
        limit=limit,
        after=after,
    )
    return Listing(items=[show(entry) for entry in page.items], after=page.after)


@router.get("/export", summary="Export activity", response_class=StreamingResponse)
async def export_activity(
    service: CurrentService,
    asker: CurrentAsker,
    form: Annotated[Format, Query(alias="format")] = Format.JSONL,
    since: Since = None,
    until: Until = None,
    resource: Resource = None,
    operation: OperationQuery = None,
) -> StreamingResponse:
    """The record, oldest first, of any length. That it was exported is on record too."""
    entries = activity.export_activity(
        service,
        asker,
        since=_utc(since, "since"),
        until=_utc(until, "until"),
        resource=resource,
        operation=operation,
    )
    first = await anext(entries, None)
    write, media_type = _WRITERS[form]
    headers = {"Content-Disposition": f'attachment; filename="activity.{form}"'}
    return StreamingResponse(write(_all(first, entries)), media_type=media_type, headers=headers)


def show(entry: Entry) -> ShownEntry:
    """A line of the record as it is shown."""
    return ShownEntry(
        id=entry.id,
        sequence=entry.sequence,
        time_utc=entry.at,
        operation=entry.operation,
        outcome=entry.outcome,
        caller=entry.caller,
        address=entry.address,
        resource=entry.resource,
        correlation=entry.correlation,
        properties=dict(entry.properties),
    )


async def _all(first: Entry | None, rest: AsyncIterator[Entry]) -> AsyncIterator[ShownEntry]:
    """The first entry was fetched before the answer began, so that a refusal could still be one."""
    if first is None:
        return
    yield show(first)
    async for entry in rest:
        yield show(entry)


async def _jsonl(entries: AsyncIterator[ShownEntry]) -> AsyncIterator[bytes]:
    async for entry in entries:
        yield entry.model_dump_json(by_alias=True).encode() + b"\n"


async def _csv(entries: AsyncIterator[ShownEntry]) -> AsyncIterator[bytes]:
    yield _line([field.alias or name for name, field in ShownEntry.model_fields.items()])
    async for entry in entries:
        yield _line([_cell(value) for value in entry.model_dump(mode="json").values()])


def _line(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _cell(value: object) -> str:
    """A value for a spreadsheet. What would be run as a formula there is made a text."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _utc(moment: datetime | None, field: str) -> datetime | None:
    return None if moment is None else utc(moment, field)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_WRITERS: dict[Format, tuple[Callable[[AsyncIterator[ShownEntry]], AsyncIterator[bytes]], str]] = {
    Format.CSV: (_csv, "text/csv; charset=utf-8"),
    Format.JSONL: (_jsonl, "application/x-ndjson"),
}
