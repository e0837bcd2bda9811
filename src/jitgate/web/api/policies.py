"""Policies as plain documents: the same rules that the contract's face manages."""

import re
from operator import attrgetter
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from jitgate.core import resource_id
from jitgate.core.errors import Invalid
from jitgate.core.resource_id import PolicyId
from jitgate.service import policies
from jitgate.service.base import Settings
from jitgate.web.api import policy_forms
from jitgate.web.api.forms import After, Limit, Listing, Text, Wait
from jitgate.web.api.policy_forms import PolicyForm, ShownPolicy
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.waiting import until
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/policies", tags=["policies"], route_class=NativeRoute, responses=REFUSALS)

# "global" is where a connector files machines that are in no region.
NOWHERE = "global"
_ID = re.compile(
    r"/?subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.Security/locations/(?P<location>[^/]+)/jitNetworkAccessPolicies/(?P<name>[^/]+)",
    re.IGNORECASE,
)

PolicyPath = Annotated[
    Text, Path(alias="policy", description="The policy's id; or its name, where machines outside the clouds are filed.")
]


@router.get("", summary="List policies")
async def list_policies(
    service: CurrentService,
    asker: CurrentAsker,
    subscription: Annotated[
        Text | None, Query(description="A subscription's GUID. Left out: that of the machines outside the clouds.")
    ] = None,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownPolicy]:
    """The policies of a subscription."""
    where = resource_id.check_subscription(subscription or service.settings.subscription, "subscription")
    page = await policies.list_policies(
        service, asker, where, resource_group=None, location=None, limit=limit, after=after
    )
    return Listing(
        items=[policy_forms.show(view.policy, settled=view.settled) for view in page.items], after=page.after
    )


@router.get("/{policy:path}", summary="One policy")
async def get_policy(path: PolicyPath, service: CurrentService, asker: CurrentAsker) -> ShownPolicy:
    """A policy as a document."""
    view = await policies.get_policy(service, asker, policy_id(path, service.settings))
    return policy_forms.show(view.policy, settled=view.settled)


@router.put("/{policy:path}", summary="Replace a policy")
async def put_policy(
    path: PolicyPath,
    form: PolicyForm,
    service: CurrentService,
    asker: CurrentAsker,
    dry_run: Annotated[
        bool, Query(alias="dryRun", description="Answer the policy as it would be kept, and change nothing.")
    ] = False,
    force: Annotated[
        bool, Query(description="Protect a port even if that cuts off an established connection.")
    ] = False,
    wait: Annotated[Wait, Query()] = 0,
) -> ShownPolicy:
    """Make a policy say this and nothing else. Live grants stay where it still covers them.

    A machine that is left out loses its protection and its grants.
    """
    where = policy_id(path, service.settings)
    policy = await policy_forms.read(service, asker, where, form)
    if dry_run:
        return policy_forms.show(await policies.preview_policy(service, asker, policy), settled=False)
    view = await policies.put_policy(service, asker, policy, force=force)
    if wait:
        view = await until(attrgetter("settled"), lambda: policies.get_policy(service, asker, where), wait)
    return policy_forms.show(view.policy, settled=view.settled)


@router.delete("/{policy:path}", status_code=204, summary="Remove a policy")
async def delete_policy(path: PolicyPath, service: CurrentService, asker: CurrentAsker) -> Response:
    """Remove a policy, and with it the protection and the grants that no other policy holds up.

    To remove what is not there is no error.
    """
    await policies.delete_policy(service, asker, policy_id(path, service.settings))
    return Response(status_code=204)


def policy_id(path: str, settings: Settings) -> PolicyId:
    """A policy's id out of a path: a whole id, or a name. Raises Invalid."""
    found = _ID.fullmatch(path)
    if found is None:
        return _by_name(path, settings)
    return PolicyId(
        subscription=resource_id.check_subscription(found["subscription"], "policy"),
        resource_group=resource_id.check_resource_group(found["group"], "policy"),
        location=resource_id.check_location(found["location"], "policy"),
        name=resource_id.check_name(found["name"], "policy"),
    )


def _by_name(name: str, settings: Settings) -> PolicyId:
    if "/" in name:
        raise Invalid("policy", f"{name[:200]!r} is not the id of a policy", allowed="a policy's id, or a name alone")
    return PolicyId(settings.subscription, settings.resource_group, NOWHERE, resource_id.check_name(name, "policy"))
