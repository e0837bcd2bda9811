"""Named networks: what the places are called that people come from."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field

from jitgate.core import prefixes
from jitgate.core.networks import LONGEST_NOTE, MOST_PREFIXES, Network
from jitgate.service import networks
from jitgate.web.api.forms import Form, Shown, Text, texts
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/networks", tags=["networks"], route_class=NativeRoute, responses=REFUSALS)

Name = Annotated[Text, Path(alias="network", description="The network's name, in any case.")]


class NetworkForm(Form):
    """What a network is. It allows nothing: it is what sources are called where people read them."""

    prefixes: list[Text] = Field(
        max_length=MOST_PREFIXES,
        examples=[["203.0.113.0/24", "2001:db8::/48"]],
        description="Addresses and CIDR prefixes that belong to it.",
    )
    note: Text = Field(default="", max_length=LONGEST_NOTE, description="What else to know of it. Left out: nothing.")


class ShownNetwork(Shown):
    """A named network."""

    name: str = Field(description="Its name.")
    prefixes: list[str] = Field(description="Addresses and CIDR prefixes that belong to it.")
    note: str = Field(description="What else to know of it; may be empty.")


class ShownNetworks(Shown):
    """Named networks, by name."""

    items: list[ShownNetwork] = Field(description="All there are.")


@router.get("", summary="List networks")
async def list_networks(service: CurrentService, asker: CurrentAsker) -> ShownNetworks:
    """All named networks."""
    return ShownNetworks(items=[_show(one) for one in await networks.list_networks(service, asker)])


@router.put("/{network}", summary="Describe a network")
async def put_network(name: Name, form: NetworkForm, service: CurrentService, asker: CurrentAsker) -> ShownNetwork:
    """Describe a network, in place of what its name stood for."""
    new = Network(name, prefixes.parse_all(form.prefixes, "prefixes"), form.note)
    return _show(await networks.put_network(service, asker, new))


@router.delete("/{network}", status_code=204, summary="Forget a network")
async def remove_network(name: Name, service: CurrentService, asker: CurrentAsker) -> Response:
    """Forget a network. Nothing opens or shuts for that."""
    await networks.remove_network(service, asker, name)
    return Response(status_code=204)


def _show(network: Network) -> ShownNetwork:
    return ShownNetwork(name=network.name, prefixes=texts(network.prefixes), note=network.note)
