"""For auditors: who could open what, who holds which right and uses it, how policies changed. Each on record."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, Field

from jitgate.core.audit_report import Could
from jitgate.service import reports
from jitgate.service.reports import Held, Written
from jitgate.web.api import tables
from jitgate.web.api.forms import Shown, Text, utc
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.values import PortNumber, RoleName, ScopePath, Via
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/audit", tags=["audit"], route_class=NativeRoute, responses=REFUSALS)

T = TypeVar("T")


class Format(StrEnum):
    """How a report is written."""

    CSV = "csv"
    JSONL = "jsonl"


class ShownCould(Shown):
    """One port that somebody could ask for. `via`: the group that the role came by."""

    person: str = Field(description="The name of who could ask.")
    role: RoleName
    scope: ScopePath
    via: Via
    machine: str = Field(description="The machine's id.")
    port: PortNumber
    protocol: str = Field(description="`TCP`, `UDP`, or `*` for both.")
    sources: list[str] = Field(description="Where from: addresses and CIDR prefixes.")
    longest: str = Field(description="For how long at most, for people.")
    policy: str = Field(description="The id of the policy that allows it.")
    needs_approval: bool = Field(description="Whether others would have to agree.")


class ShownHeld(Shown):
    """A right that somebody holds, when they last used it and for what, and when they were last seen at all."""

    person: str = Field(description="The name of who holds it.")
    disabled: bool = Field(description="Whether they are not let in.")
    role: RoleName
    scope: ScopePath
    via: Via
    last_used_utc: datetime | None = Field(
        description="When they last used it, in UTC; null: never, as far as is on record."
    )
    last_operation: str | None = Field(description="What for, as an action; null: they have not used it.")
    last_seen_utc: datetime | None = Field(description="When they were last seen at all, in UTC; null: never.")


class ShownChange(Shown):
    """What a write changed of one machine's ports."""

    machine: str = Field(description="The machine's id.")
    before: list[str] = Field(description="Its protected ports before, a text each; empty: it was not in the policy.")
    after: list[str] = Field(description="The same afterwards; empty: it is not in the policy any more.")


class ShownWritten(Shown):
    """One write of a policy, or its removal."""

    time_utc: datetime = Field(description="When, in UTC.")
    caller: str = Field(description="The name of who wrote it.")
    policy: str = Field(description="The policy's id.")
    removed: bool = Field(description="Whether the policy was removed.")
    changes: list[ShownChange] = Field(description="What it changed, machine by machine.")


FormatQuery = Annotated[Format, Query(alias="format", description="How it is written.")]


@router.get(
    "/who-could",
    summary="Who could open what",
    response_class=StreamingResponse,
    responses=tables.described(ShownCould),
)
async def who_could(
    service: CurrentService,
    asker: CurrentAsker,
    at: Annotated[AwareDatetime, Query(description="The moment that is asked about.")],
    form: FormatQuery = Format.JSONL,
) -> StreamingResponse:
    """Every port that somebody could ask for at a moment, by the policies, roles and guardrails of that moment."""
    found = reports.who_could(service, asker, utc(at, "at"))
    return await _stream(form, "who-could", ShownCould, _shown(found, _show_could))


@router.get(
    "/access-review",
    summary="Who holds which right, and uses it",
    response_class=StreamingResponse,
    responses=tables.described(ShownHeld),
)
async def access_review(
    service: CurrentService, asker: CurrentAsker, form: FormatQuery = Format.JSONL
) -> StreamingResponse:
    """Every right that somebody holds now, and when they last used it."""
    found = reports.access_review(service, asker)
    return await _stream(form, "access-review", ShownHeld, _shown(found, _show_held))


@router.get(
    "/policy-history",
    summary="How policies changed",
    response_class=StreamingResponse,
    responses=tables.described(ShownWritten),
)
async def policy_history(
    service: CurrentService,
    asker: CurrentAsker,
    policy: Annotated[Text | None, Query(description="By its id or name; without it: all.")] = None,
    form: FormatQuery = Format.JSONL,
) -> StreamingResponse:
    """Every write of a policy, oldest first, with what it changed machine by machine."""
    found = reports.policy_history(service, asker, policy)
    return await _stream(form, "policy-history", ShownWritten, _shown(found, _show_written))


async def _stream(
    form: Format, name: str, row: type[Shown], pages: AsyncIterator[Sequence[Shown]]
) -> StreamingResponse:
    pieces = tables.csv(row, pages) if form is Format.CSV else tables.jsonl(pages)
    return await tables.stream(pieces, f"{name}.{form}")


async def _shown(pages: AsyncIterator[Sequence[T]], show: Callable[[T], Shown]) -> AsyncIterator[Sequence[Shown]]:
    async for page in pages:
        yield [show(one) for one in page]


def _show_could(one: Could) -> ShownCould:
    return ShownCould(
        person=one.person,
        role=one.role,
        scope=one.scope,
        via=one.via,
        machine=one.machine,
        port=one.port,
        protocol=one.protocol,
        sources=list(one.sources),
        longest=one.longest,
        policy=one.policy,
        needs_approval=one.needs_approval,
    )


def _show_held(one: Held) -> ShownHeld:
    return ShownHeld(
        person=one.person,
        disabled=one.is_disabled,
        role=one.role,
        scope=one.scope,
        via=one.via,
        last_used_utc=one.used.at if one.used else None,
        last_operation=one.used.operation if one.used else None,
        last_seen_utc=one.seen,
    )


def _show_written(one: Written) -> ShownWritten:
    return ShownWritten(
        time_utc=one.at,
        caller=one.caller,
        policy=one.policy,
        removed=one.is_removed,
        changes=[ShownChange(machine=c.machine, before=list(c.before), after=list(c.after)) for c in one.changes],
    )
