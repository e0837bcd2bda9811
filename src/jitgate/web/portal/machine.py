"""One machine: how it is held, connecting to it, its ports, who reaches them, its grants and what happened."""

from collections.abc import Sequence
from datetime import timedelta

from fastapi import Request
from starlette.responses import Response

from jitgate.core import duration, prefixes
from jitgate.core import policy as policies_core
from jitgate.core.access import Ask, MachineAsk, PortAsk, Span, State, check_ask
from jitgate.core.catalogue import Standing
from jitgate.core.errors import Invalid, NotFound
from jitgate.core.machine import DEFAULT_PORTS
from jitgate.core.policy import PortRule
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import parse_machine_id
from jitgate.core.roles import AGREE_TO_ALTERATION, FREEZE, READ_ACTIVITY, WRITE_MACHINE, WRITE_POLICY
from jitgate.service import (
    activity,
    alterations,
    configuration,
    freezes,
    grants,
    hosts,
    machines,
    networks,
    offers,
    policies,
    requests,
)
from jitgate.service.activity import Selection
from jitgate.service.base import Asker, Service
from jitgate.service.views import GrantView, MachineView
from jitgate.store.activity import Entry
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal import connection, record_words
from jitgate.web.portal.acting import act
from jitgate.web.portal.pages import page
from jitgate.web.portal.routing import Route

_MOST_GRANTS, _MOST_OVER, _MOST_ENTRIES = 100, 10, 12
_LENGTHS = tuple(timedelta(minutes=minutes) for minutes in (15, 30, 60, 120, 180, 240, 480, 720, 1440))


async def show(request: Request) -> Response:
    """The page."""
    service, asker = service_of(request), asker_of(request)
    view = await machines.get_machine(service, asker, request.path_params["machine"])
    uuid = view.machine.uuid
    (configured,) = await configuration.read(service, asker, [uuid])
    live = await grants.list_grants(service, asker, machine=uuid, limit=_MOST_GRANTS)
    over = await grants.list_grants(service, asker, machine=uuid, state=[State.CLOSED], limit=_MOST_OVER)
    mine = [each for each in live.items if each.grant.principal == asker.principal.uid and _is_shown_open(each)]
    return page(
        request,
        "machine.html",
        view=view,
        configured=configured,
        mine=mine,
        longest=await offers.longest_of(service, asker, mine),
        live=live.items,
        over=over.items,
        entries=await _entries(service, asker, view),
        host=await hosts.host_of(service, asker, view.machine),
        altered=await alterations.get_alterations(service, asker, uuid),
        may_agree=asker.principal.may(AGREE_TO_ALTERATION, view.machine.id),
        may_freeze=asker.principal.may(FREEZE, view.machine.id),
        may_configure=_may_configure(asker, view, configured.policy),
        usual=DEFAULT_PORTS[view.machine.os],
        line=connection.line,
        known=await networks.known(service),
        frozen=await freezes.list_concerning(service, asker, [view.machine.id]),
        lengths=_LENGTHS,
        words=record_words.words,
        outcomes=record_words.OUTCOMES,
        asked_lengths=_offered(configured.ports),
    )


async def connect(request: Request) -> Response:
    """Ask for one port of the machine, as its Connect page does (J16)."""
    form = await read_form(request)
    service, asker = service_of(request), asker_of(request)
    name = request.path_params["machine"]
    work = _ask(
        service, asker, name, form.get("port", ""), form.get("source", ""), form.get("length", ""), form.get("why", "")
    )
    return await act(
        request, work, at="connect", then=f"/machines/{name}", said="Asked. It shows here as soon as it is open."
    )


async def enable(request: Request) -> Response:
    """Protect the machine with the defaults of its system (J12)."""
    name = request.path_params["machine"]
    work = policies.enable_machines(service_of(request), asker_of(request), [name])
    return await act(
        request,
        work,
        at="enable",
        then=f"/machines/{name}",
        said="Just-in-time access is enabled; the port is being shut.",
    )


async def ask_removal(request: Request) -> Response:
    """What taking the machine out of every policy would do, before it is done."""
    service, asker = service_of(request), asker_of(request)
    view = await machines.get_machine(service, asker, request.path_params["machine"])
    preview = await configuration.preview_removal(service, asker, [view.machine.uuid])
    return page(request, "remove.html", view=view, preview=preview)


async def remove(request: Request) -> Response:
    """Take the machine out of every policy."""
    name = request.path_params["machine"]
    work = policies.disable_machines(service_of(request), asker_of(request), [name])
    return await act(request, work, at="remove", then="/machines", said="It is no longer protected.")


async def agree(request: Request) -> Response:
    """Agree to what jitgate has to alter of others' rules, so that the machine's ports are really shut."""
    form, name = await read_form(request), request.path_params["machine"]
    work = alterations.agree(service_of(request), asker_of(request), name, form.get("digest", ""))
    return await act(request, work, at="agree", then=f"/machines/{name}", said="Agreed. The rules are being changed.")


async def confirm(request: Request) -> Response:
    """Have people be sent to the addresses that the machine's host has reported."""
    name = request.path_params["machine"]
    service, asker = service_of(request), asker_of(request)
    machine = await machines.resolve_machine(service, asker, name)
    work = hosts.confirm_addresses(service, asker, machine.uuid)
    return await act(request, work, at="confirm", then=f"/machines/{name}", said="Its addresses are confirmed.")


async def rdp(request: Request) -> Response:
    """A file that opens a remote desktop at an open port. The machine asks for its own credentials."""
    view = await grants.get_grant(service_of(request), asker_of(request), request.path_params["grant"])
    if view.grant.state is not State.OPEN or not view.connection:
        raise NotFound("That port is not open now. Ask for it again, and take the file then.")
    return Response(
        connection.rdp_file(view),
        media_type="application/x-rdp",
        headers={"Content-Disposition": f'attachment; filename="{connection.file_name(view)}.rdp"'},
    )


def _is_shown_open(view: GrantView) -> bool:
    return view.grant.state in (State.OPENING, State.OPEN, State.CLOSING)


def _may_configure(asker: Asker, view: MachineView, policy: str) -> bool:
    writes_machine = view.machine.provider == "aws" or asker.principal.may(WRITE_MACHINE, view.machine.id)
    return asker.principal.may(WRITE_POLICY, policy) and writes_machine and view.standing is not Standing.UNSUPPORTED


async def _entries(service: Service, asker: Asker, view: MachineView) -> Sequence[Entry] | None:
    """The latest of the record about the machine; None for who may not read it."""
    if not asker.principal.may(READ_ACTIVITY, view.machine.id):
        return None
    found = await activity.list_activity(service, asker, Selection(resource=view.machine.id), limit=_MOST_ENTRIES)
    return found.items


def _offered(ports: Sequence[PortRule]) -> Sequence[timedelta]:
    """Lengths that some port allows."""
    longest = max((rule.max_duration.length for rule in ports), default=timedelta())
    return [length for length in _LENGTHS if length <= longest]


async def _ask(service: Service, asker: Asker, name: str, port: str, source: str, length: str, why: str) -> object:
    machine = await machines.machine_to_ask_for(service, asker, name)
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    sources = _sources(source, asker)
    wanted = PortAsk(
        number=policies_core.check_number(number, "port"),
        sources=sources,
        span=Span(duration=duration.parse(length, "time")) if length else None,
        source_texts=tuple(map(prefixes.text, sources)),
        field="port",
    )
    place = parse_machine_id(machine.id, "machine")
    return await requests.request_access(
        service, asker, check_ask(Ask((MachineAsk(place, (wanted,), "machine"),), why, asker.address))
    )


def _sources(typed: str, asker: Asker) -> tuple[Prefix, ...]:
    """The sources that were typed; none: the address that the call comes from. Raises Invalid."""
    texts = typed.replace(",", " ").split()
    if texts:
        return prefixes.parse_all(texts, "source")
    if asker.address is None:
        raise Invalid("source", "the server cannot tell your address", allowed="an address, or a range")
    return (asker.address,)


ROUTES = (
    Route("GET", "/machines/{machine}", show),
    Route("POST", "/machines/{machine}/connect", connect),
    Route("POST", "/machines/{machine}/enable", enable),
    Route("GET", "/machines/{machine}/remove", ask_removal),
    Route("POST", "/machines/{machine}/remove", remove),
    Route("POST", "/machines/{machine}/addresses", confirm),
    Route("POST", "/machines/{machine}/agree", agree),
    Route("GET", "/grants/{grant}/rdp", rdp, is_page=False),
)
