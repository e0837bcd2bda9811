"""Named networks: what the places are called that people come from."""

from fastapi import Request
from starlette.responses import Response

from jitgate.core import prefixes
from jitgate.core.networks import Network
from jitgate.core.roles import WRITE_NETWORK
from jitgate.service import networks
from jitgate.service.base import Asker, Service
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal.acting import act
from jitgate.web.portal.routing import Route
from jitgate.web.portal.settings.frame import settings_page

_HERE = "/settings/networks"


async def show(request: Request) -> Response:
    """The page."""
    service, asker = service_of(request), asker_of(request)
    found = await networks.list_networks(service, asker)
    may_write = asker.principal.may(WRITE_NETWORK, "/")
    return await settings_page(request, "networks.html", networks=found, may_write=may_write, text=prefixes.text)


async def put(request: Request) -> Response:
    """Describe a network."""
    form = await read_form(request)
    name = form.get("name", "").strip()
    work = _put(service_of(request), asker_of(request), name, form.get("prefixes", ""), form.get("note", "").strip())
    return await act(request, work, at="put", then=_HERE, said=f"{name[:100]} has its name.")


async def remove(request: Request) -> Response:
    """Forget a network."""
    name = request.path_params["network"]
    work = networks.remove_network(service_of(request), asker_of(request), name)
    return await act(request, work, at=f"remove-{name}", then=_HERE, said="Forgotten.")


async def _put(service: Service, asker: Asker, name: str, typed: str, note: str) -> Network:
    found = prefixes.parse_all(typed.replace(",", " ").split(), "prefixes")
    return await networks.put_network(service, asker, Network(name, found, note))


ROUTES = (
    Route("GET", _HERE, show),
    Route("POST", _HERE, put),
    Route("POST", "/settings/networks/{network}/remove", remove),
)
