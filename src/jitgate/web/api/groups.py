"""Groups, and who is in them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from jitgate.service import groups
from jitgate.web.api.forms import After, Form, Limit, Listing, Shown, Text
from jitgate.web.api.principals import ShownAccount, Who, show
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/groups", tags=["groups"], route_class=NativeRoute, responses=REFUSALS)

Name = Annotated[Text, Path(alias="group", description="The group's name, in any case, or its id.")]


class GroupForm(Form):
    """A group to be made."""

    name: Text = Field(
        examples=["on call"], description="What it shall be called. No principal or group may have the name."
    )
    claimed: bool = Field(
        default=False, description="Who is in it, an identity provider says at each sign-in, by this very name."
    )
    issuer: str = Field(
        default="",
        max_length=2048,
        description="Which one, by its name or address. Left out: the only one where people sign in.",
    )


class ShownGroup(Shown):
    """A group, and a page of its members."""

    group: ShownAccount = Field(description="The group.")
    members: Listing[ShownAccount] = Field(description="Who is in it, by name.")


@router.get("", summary="List groups")
async def list_groups(
    service: CurrentService,
    asker: CurrentAsker,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownAccount]:
    """Groups, by name."""
    page = await groups.list_groups(service, asker, limit=limit, after=after)
    return Listing(items=[show(group) for group in page.items], after=page.after)


@router.post("", status_code=201, summary="Make a group")
async def add_group(form: GroupForm, service: CurrentService, asker: CurrentAsker) -> ShownAccount:
    """Make a group, without any right yet."""
    return show(await groups.add_group(service, asker, form.name, claimed=form.claimed, issuer=form.issuer))


@router.get("/{group}", summary="One group")
async def get_group(
    name: Name,
    service: CurrentService,
    asker: CurrentAsker,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> ShownGroup:
    """A group, and its members by name. `limit` and `after` are about the members."""
    view = await groups.get_group(service, asker, name, limit=limit, after=after)
    members = Listing(items=[show(member) for member in view.members.items], after=view.members.after)
    return ShownGroup(group=show(view.group), members=members)


@router.delete("/{group}", status_code=204, summary="Remove a group")
async def remove_group(name: Name, service: CurrentService, asker: CurrentAsker) -> Response:
    """Remove a group with the roles that it was given. What these allowed closes at once."""
    await groups.remove_group(service, asker, name)
    return Response(status_code=204)


@router.put("/{group}/members/{principal}", status_code=204, summary="Put into a group")
async def join_group(name: Name, who: Who, service: CurrentService, asker: CurrentAsker) -> Response:
    """Put somebody into a group; who does must hold what the group gives."""
    await groups.join_group(service, asker, name, who)
    return Response(status_code=204)


@router.delete("/{group}/members/{principal}", status_code=204, summary="Take out of a group")
async def leave_group(name: Name, who: Who, service: CurrentService, asker: CurrentAsker) -> Response:
    """Take somebody out of a group. What it allowed them closes at once."""
    await groups.leave_group(service, asker, name, who)
    return Response(status_code=204)
