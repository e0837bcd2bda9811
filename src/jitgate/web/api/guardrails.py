"""Guardrails: what the contract cannot say, and no policy can weaken."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field

from jitgate.service import guardrails
from jitgate.web.api import guardrail_forms
from jitgate.web.api.forms import Form, Shown, Text
from jitgate.web.api.guardrail_forms import GuardrailForm, ShownGuardrail, ShownProposal
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/guardrails", tags=["guardrails"], route_class=NativeRoute, responses=REFUSALS)

Name = Annotated[Text, Path(alias="guardrail", description="The guardrail's name.")]


class Guardrails(Shown):
    """What is in force, and what waits for a second administrator."""

    items: list[ShownGuardrail] = Field(description="What is in force.")
    proposals: list[ShownProposal] = Field(description="What waits for a second administrator.")


class Change(Shown):
    """What became of a change. Not in force: it loosens, and waits for a second administrator to confirm it."""

    name: str = Field(description="The guardrail's name.")
    in_force: bool = Field(description="Whether it is in force; false: it waits for a second administrator.")


class ConfirmForm(Form):
    """Which change is agreed to: the `id` of the proposal that was read. Another one may have taken its place since."""

    proposal: Text = Field(description="The `id` of the proposal.")


@router.get("", summary="List guardrails")
async def list_guardrails(service: CurrentService, asker: CurrentAsker) -> Guardrails:
    """All guardrails, and the changes that wait for a second administrator."""
    held = await guardrails.list_guardrails(service, asker)
    proposed = await guardrails.list_proposals(service, asker)
    return Guardrails(
        items=[guardrail_forms.show(each) for each in held],
        proposals=[guardrail_forms.show_proposal(each) for each in proposed],
    )


@router.get("/{guardrail}", summary="One guardrail")
async def get_guardrail(name: Name, service: CurrentService, asker: CurrentAsker) -> ShownGuardrail:
    """A guardrail as it is in force."""
    return guardrail_forms.show(await guardrails.get_guardrail(service, asker, name))


@router.put("/{guardrail}", summary="Set a guardrail", responses={202: {"model": Change}})
async def put_guardrail(
    name: Name, form: GuardrailForm, service: CurrentService, asker: CurrentAsker, response: Response
) -> Change:
    """Replace a guardrail. A change that tightens is in force at once (200).

    One that loosens waits for a second administrator (202).
    """
    in_force = await guardrails.put_guardrail(service, asker, guardrail_forms.read(name, form))
    return _answer(response, name, in_force=in_force)


@router.delete("/{guardrail}", summary="Remove a guardrail", responses={202: {"model": Change}})
async def delete_guardrail(name: Name, service: CurrentService, asker: CurrentAsker, response: Response) -> Change:
    """Remove a guardrail, which loosens: it waits for a second administrator."""
    return _answer(response, name, in_force=await guardrails.delete_guardrail(service, asker, name))


@router.post("/{guardrail}/confirm", summary="Confirm a waiting change")
async def confirm_guardrail(name: Name, form: ConfirmForm, service: CurrentService, asker: CurrentAsker) -> Change:
    """Agree, as a second administrator, to a change that loosens. 409: it is not the one that was read."""
    await guardrails.confirm_guardrail(service, asker, name, form.proposal)
    return Change(name=name, in_force=True)


def _answer(response: Response, name: str, *, in_force: bool) -> Change:
    response.status_code = 200 if in_force else 202
    return Change(name=name, in_force=in_force)
