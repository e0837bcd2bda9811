"""The record: every change, every refusal, and what the firewalls did."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, Field

from jitgate import audit
from jitgate.audit import Outcome
from jitgate.core.networks import Networks
from jitgate.service import activity, networks
from jitgate.service.activity import Selection
from jitgate.service.base import Asker, Service
from jitgate.store.activity import Entry
from jitgate.store.heads import Sealed
from jitgate.web.api import tables
from jitgate.web.api.forms import After, Limit, Listing, Shown, Text, utc
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/activity", tags=["activity"], route_class=NativeRoute, responses=REFUSALS)


class Format(StrEnum):
    """How an export is written. `sealed`: the lines of `jsonl` with the signed heads, for `activity verify`."""

    CSV = "csv"
    JSONL = "jsonl"
    SEALED = "sealed"


class ShownEntry(Shown):
    """One line of the record. `sequence` rises without a gap; null until the line is sealed.

    `network`: the named network that the address lies in by now; empty for none. It is not part of what is sealed.
    """

    id: int = Field(description="The line's number, by which it is found; it can leave gaps.")
    sequence: int | None = Field(description="Its place in the sealed record; null until it is sealed.")
    time_utc: datetime = Field(description="When it happened, in UTC.")
    operation: str = Field(description="What was done, as an action. They are listed in the reference of activity.")
    outcome: str = Field(description="How it went. `Started` has a later line with the same `correlation`.")
    caller: str = Field(description="The name of who did it, as it was then; `jitgate` for itself.")
    principal: str | None = Field(description="The id of who did it; null for jitgate itself, and for a stranger.")
    credential: str | None = Field(description="The id of the token or session that it was done with; null: with none.")
    address: str | None = Field(description="Where the call came from; null: from nowhere, or that was not known.")
    network: str = Field(description="The named network that the address lies in by now; empty: none.")
    resource: str = Field(description="What it is about: an id where there is one, else a name or scope path.")
    correlation: str = Field(description="What lines that belong together share.")
    properties: dict[str, Any] = Field(description="What else there is to say, by the operation.")


class ShownHead(Shown):
    """A sealed head. `line`: what is signed, with its signature, as it stands in files."""

    number: int = Field(description="Its number: 1, 2, 3 and so on, without a gap.")
    first: int = Field(description="The `sequence` of the first line that it seals.")
    count: int = Field(description="How many lines it seals.")
    at_utc: datetime = Field(description="When it was sealed, in UTC.")
    line: str = Field(description="What is signed, with its signature, as it stands in files.")
    events_expired_utc: datetime | None = Field(
        description="When its lines were let go of, as retention demands, in UTC; null: they are there."
    )


def _selection(
    since: Annotated[AwareDatetime | None, Query(description="From this moment on.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this moment.")] = None,
    resource: Annotated[Text | None, Query(description="About this id, and what lies below it.")] = None,
    operation: Annotated[
        Text | None, Query(examples=["Jitgate.Access/grants/open"], description="What was done, as an action.")
    ] = None,
    person: Annotated[Text | None, Query(description="What this principal did, by its name.")] = None,
    outcome: Annotated[Outcome | None, Query(description="How it went.")] = None,
    correlation: Annotated[Text | None, Query(description="Lines that share this.")] = None,
) -> Selection:
    return Selection(
        since=_utc(since, "since"),
        until=_utc(until, "until"),
        resource=resource,
        operation=operation,
        person=person,
        outcomes=(str(outcome),) if outcome else (),
        correlation=correlation,
    )


Wanted = Annotated[Selection, Depends(_selection)]


@router.get("", summary="List activity")
async def list_activity(
    service: CurrentService,
    asker: CurrentAsker,
    wanted: Wanted,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownEntry]:
    """The record, newest first."""
    page = await activity.list_activity(service, asker, wanted, limit=limit, after=after)
    known = await networks.known(service)
    return Listing(items=[show(entry, known) for entry in page.items], after=page.after)


@router.get("/export", summary="Export activity", response_class=StreamingResponse)
async def export_activity(
    service: CurrentService,
    asker: CurrentAsker,
    wanted: Wanted,
    form: Annotated[Format, Query(alias="format", description="How it is written.")] = Format.JSONL,
) -> StreamingResponse:
    """The record, oldest first, of any length. That it was exported is on record too.

    CSV has the fields of a listed entry as columns. Lines of JSON are as they are sealed.
    """
    if form is Format.SEALED:
        return await tables.stream(_lines(activity.export_sealed(service, asker, wanted)), "activity.jsonl")
    if form is Format.JSONL:
        pages = activity.export_activity(service, asker, wanted)
        return await tables.stream(_lines(_encoded(pages)), "activity.jsonl")
    return await csv_of(service, asker, wanted)


@router.get("/heads", summary="List sealed heads")
async def list_heads(
    service: CurrentService,
    asker: CurrentAsker,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownHead]:
    """The signed heads over the record, oldest first. Keep them elsewhere: they show later what was cut off."""
    page = await activity.list_heads(service, asker, limit=limit, after=after)
    return Listing(items=[_show_head(sealed) for sealed in page.items], after=page.after)


async def csv_of(service: Service, asker: Asker, wanted: Selection) -> StreamingResponse:
    """A part of the record as a download for spreadsheets. That it was exported is on record too."""
    known = await networks.known(service)
    pages = activity.export_activity(service, asker, wanted)
    return await tables.stream(tables.csv(ShownEntry, _shown(pages, known)), "activity.csv")


def show(entry: Entry, known: Networks) -> ShownEntry:
    """A line of the record as it is shown."""
    return ShownEntry(
        id=entry.id,
        sequence=entry.sequence,
        time_utc=entry.at,
        operation=entry.operation,
        outcome=entry.outcome,
        caller=entry.caller,
        principal=entry.principal,
        credential=entry.credential,
        address=entry.address,
        network=known.name_of_address(entry.address),
        resource=entry.resource,
        correlation=entry.correlation,
        properties=dict(entry.properties),
    )


def _show_head(sealed: Sealed) -> ShownHead:
    head = sealed.head
    return ShownHead(
        number=head.number,
        first=head.first,
        count=head.count,
        at_utc=head.at,
        line=sealed.line.decode(),
        events_expired_utc=sealed.expired_at,
    )


async def _lines(pages: AsyncIterator[Sequence[bytes]]) -> AsyncIterator[bytes]:
    async for page in pages:
        yield b"".join(line + b"\n" for line in page)


async def _encoded(pages: AsyncIterator[Sequence[Entry]]) -> AsyncIterator[Sequence[bytes]]:
    """As they are sealed, byte for byte."""
    async for page in pages:
        yield [audit.line(entry) for entry in page]


async def _shown(pages: AsyncIterator[Sequence[Entry]], known: Networks) -> AsyncIterator[Sequence[ShownEntry]]:
    async for page in pages:
        yield [show(entry, known) for entry in page]


def _utc(moment: datetime | None, field: str) -> datetime | None:
    return None if moment is None else utc(moment, field)
