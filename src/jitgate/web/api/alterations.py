"""Alterations: what is changed of what others made; consent to it, and what protecting a port would do."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from jitgate.core import policy
from jitgate.core.alteration import Alteration, Stage
from jitgate.core.desired import Protocol
from jitgate.service import alterations
from jitgate.service.alterations import AlterationsView, PreviewView
from jitgate.store.alterations import Kept
from jitgate.web.api.forms import Form, Shown, Text, Wait
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.values import AnyMachine, MachineId, MachineName, OfProtocol, PortNumber, PortTexts
from jitgate.web.api.waiting import until
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(tags=["alterations"], route_class=NativeRoute, responses=REFUSALS)

MachineQuery = Annotated[
    Text | None,
    Query(description="The machine's id, or any unique short name. Left out: all for which something waits."),
]


class AgreeForm(Form):
    """What is agreed to: all that waits for a machine, by the `digest` that was read."""

    machine: AnyMachine
    digest: Text = Field(description="The `digest` that was read.")


class PreviewPort(Form):
    """A port that might be protected."""

    number: PortNumber
    protocol: OfProtocol = Protocol.ANY


class PreviewForm(Form):
    """A machine, and which of its ports might be protected; else the default port of its system."""

    machine: AnyMachine
    ports: list[PreviewPort] | None = Field(
        default=None,
        min_length=1,
        max_length=policy.MOST_PORTS,
        description="Which ports. Left out: 22, or 3389 of Windows.",
    )


class ShownAlteration(Shown):
    """A rule that others made, and what is done to it."""

    what: str = Field(description="What is done to it, for people.")
    ports: PortTexts
    concerns: list[str] = Field(description="All that it counts for: ids of machines, or texts for what is no machine.")
    original: Mapping[str, Any] = Field(description="The rule as others made it. It is put back when protection ends.")


class ShownKeptAlteration(ShownAlteration):
    """An alteration, and how far it has come."""

    stage: Stage = Field(description="How far it has come. Nothing is done before it is `agreed`.")
    found_time_utc: datetime = Field(description="When it was found, in UTC.")
    agreed_time_utc: datetime | None = Field(description="When somebody agreed to it, in UTC; null: nobody has.")
    agreed_by: str | None = Field(description="The name of who agreed to it; null: nobody has.")


class ShownAlterations(Shown):
    """What is, or would be, altered for a machine. `digest` names all that waits for consent; empty: nothing does."""

    machine: MachineName
    machine_id: MachineId
    digest: str = Field(description="Names all that waits for consent, to agree to just that; empty: nothing waits.")
    items: list[ShownKeptAlteration] = Field(description="Each rule that is concerned.")


class AllAlterations(Shown):
    """Machine by machine."""

    items: list[ShownAlterations] = Field(description="One for each machine.")


class ShownStep(Shown):
    """Something that would be done."""

    verb: str = Field(description="What would be done: `protect`, `release`, `open`, `shut` or `cut`.")
    what: str = Field(description="To what, for people.")


class ShownPreview(Shown):
    """What protecting ports would do. Nothing was changed."""

    id: str = Field(description="The preview's id.")
    machine: MachineName
    machine_id: MachineId
    ports: PortTexts
    answered: bool = Field(description="False: it is still being worked out.")
    steps: list[ShownStep] = Field(description="What would be done to the firewall; empty until it is worked out.")
    alterations: list[ShownAlteration] = Field(description="What would be changed of what others made, with consent.")
    error: str = Field(description="Why it could not be worked out; empty: it could, or is not yet.")


@router.get("/alterations", summary="What is altered of others' rules")
async def list_alterations(
    service: CurrentService, asker: CurrentAsker, machine: MachineQuery = None
) -> AllAlterations:
    """Of one machine all there is; else of every machine for which something waits for consent."""
    if machine is not None:
        return AllAlterations(items=[_show(await alterations.get_alterations(service, asker, machine))])
    return AllAlterations(items=[_show(view) for view in await alterations.list_waiting(service, asker)])


@router.post("/alterations/agree", summary="Agree to altering others' rules")
async def agree(form: AgreeForm, service: CurrentService, asker: CurrentAsker) -> ShownAlterations:
    """Agree to all that waits for a machine. 409: it is not what was read."""
    return _show(await alterations.agree(service, asker, form.machine, form.digest))


@router.post("/previews", status_code=202, summary="What protecting a machine would do")
async def ask_preview(
    form: PreviewForm, service: CurrentService, asker: CurrentAsker, wait: Annotated[Wait, Query()] = 0
) -> ShownPreview:
    """Have it worked out what protecting ports would do, and change nothing."""
    ports = None
    if form.ports is not None:
        ports = [(policy.check_number(p.number, f"ports[{at}].number"), p.protocol) for at, p in enumerate(form.ports)]
    asked = await alterations.ask_preview(service, asker, form.machine, ports)
    return await _answered(service, asker, asked.preview.uid, wait)


@router.get("/previews/{preview}", summary="What was worked out")
async def get_preview(
    uid: Annotated[Text, Path(alias="preview", description="The preview's id.")],
    service: CurrentService,
    asker: CurrentAsker,
    wait: Annotated[Wait, Query()] = 0,
) -> ShownPreview:
    """A preview of one's own. It is kept for a day."""
    return await _answered(service, asker, uid, wait)


async def _answered(service: CurrentService, asker: CurrentAsker, uid: str, wait: float) -> ShownPreview:
    read = partial(alterations.get_preview, service, asker, uid)
    return _show_preview(await until(lambda view: view.preview.answered_at is not None, read, wait))


def _show(view: AlterationsView) -> ShownAlterations:
    items = [_show_kept(kept) for kept in view.kept]
    return ShownAlterations(machine=view.machine.name, machine_id=view.machine.id, digest=view.digest, items=items)


def _show_kept(kept: Kept) -> ShownKeptAlteration:
    return ShownKeptAlteration(
        **_facts(kept.alteration),
        stage=kept.stage,
        found_time_utc=kept.found_at,
        agreed_time_utc=kept.agreed_at,
        agreed_by=kept.agreed_by,
    )


def _show_preview(view: PreviewView) -> ShownPreview:
    found = view.preview
    return ShownPreview(
        id=found.uid,
        machine=view.machine.name,
        machine_id=view.machine.id,
        ports=[str(port) for port in found.ports],
        answered=found.answered_at is not None,
        steps=[ShownStep(verb=verb, what=what) for verb, what in found.steps],
        alterations=[ShownAlteration(**_facts(each)) for each in found.alterations],
        error=found.error,
    )


def _facts(alteration: Alteration) -> dict[str, Any]:
    return {
        "what": alteration.what,
        "ports": list(alteration.ports),
        "concerns": list(alteration.concerns),
        "original": alteration.original,
    }
