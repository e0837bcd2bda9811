"""The activity log: filters in the address, a timeline with details, all of it as CSV, and how far it is sealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from jitgate.audit import Operation, Outcome
from jitgate.core.errors import Invalid, JitgateError
from jitgate.core.roles import EXPORT_ACTIVITY, READ_ACTIVITY
from jitgate.service import activity, machines, networks
from jitgate.service.activity import Selection, later
from jitgate.service.base import Asker, Service
from jitgate.service.views import Page
from jitgate.store.activity import Entry
from jitgate.web.api.activity import csv_of
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.portal import record_words
from jitgate.web.portal.pages import page, problems, status_of
from jitgate.web.portal.routing import Route

FIELDS = ("since", "until", "person", "operation", "outcome", "machine", "correlation")
_MOST = 50
_LONGEST = 512
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for: `fields` as they were typed, `selection` as it is understood."""

    fields: Mapping[str, str]
    selection: Selection

    @property
    def query(self) -> str:
        """The filters as an address carries them."""
        return urlencode({name: value for name, value in self.fields.items() if value})


async def show(request: Request) -> Response:
    """The timeline, the newest first."""
    service, asker = service_of(request), asker_of(request)
    fields = _fields(request)
    try:
        wanted = await _wanted(service, asker, fields)
        found = await activity.list_activity(
            service, asker, wanted.selection, limit=_MOST, after=request.query_params.get("after")
        )
    except Invalid as error:
        return await _show(request, Wanted(fields, Selection()), Page(()), error)
    return await _show(request, wanted, found)


async def download(request: Request) -> Response:
    """All that the filters match, as CSV, however much it is. That it was taken away is on record."""
    service, asker = service_of(request), asker_of(request)
    wanted = await _wanted(service, asker, _fields(request))
    return await csv_of(service, asker, wanted.selection)


async def _show(request: Request, wanted: Wanted, found: Page[Entry], error: JitgateError | None = None) -> Response:
    service, asker = service_of(request), asker_of(request)
    return page(
        request,
        "activity.html",
        200 if error is None else status_of(error),
        entries=found,
        wanted=wanted,
        problems=[] if error is None else problems(error),
        choices=record_words.choices(),
        words=record_words.words,
        subject=record_words.subject,
        outcomes=record_words.OUTCOMES,
        every_outcome=[str(one) for one in Outcome],
        known=await networks.known(service),
        sealed=await activity.seal(service),
        may_export=bool(asker.principal.scopes(EXPORT_ACTIVITY)),
    )


def _fields(request: Request) -> Mapping[str, str]:
    return {name: request.query_params.get(name, "").strip()[:_LONGEST] for name in FIELDS}


async def _wanted(service: Service, asker: Asker, fields: Mapping[str, str]) -> Wanted:
    """Raises Invalid for what no filter could be."""
    outcome, operation = fields["outcome"], fields["operation"]
    until = _day(fields["until"], "until")
    selection = Selection(
        since=_day(fields["since"], "since"),
        until=later(until, _DAY) if until else None,
        resource=await _resource(service, asker, fields["machine"]),
        operation=str(_one_of(Operation, operation, "operation")) if operation else None,
        person=fields["person"] or None,
        outcomes=(str(_one_of(Outcome, outcome, "outcome")),) if outcome else (),
        correlation=fields["correlation"] or None,
    )
    return Wanted(fields, selection)


async def _resource(service: Service, asker: Asker, text: str) -> str | None:
    """A machine's id by its name, or what was written; without either, where the reader may read."""
    if text and "/" not in text:
        return (await machines.get_machine(service, asker, text)).machine.id
    if text:
        return text
    places = asker.principal.scopes(READ_ACTIVITY)
    return None if not places or "/" in places else places[0]


def _day(text: str, field: str) -> datetime | None:
    """The beginning of a day in UTC."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid(field, f"{text!r:.40} is not a day", allowed="a day such as 2030-01-31") from None


def _one_of(kind: type[Operation] | type[Outcome], text: str, field: str) -> str:
    try:
        return kind(text)
    except ValueError:
        raise Invalid(field, f"{text!r:.80} is not known", allowed="one of those in the list") from None


ROUTES = (Route("GET", "/activity", show), Route("GET", "/activity/export", download, is_page=False))
