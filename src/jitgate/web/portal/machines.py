"""Just-in-time VM access: the machines in the three tabs of Microsoft's page, and what can be done with them."""

from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from fastapi import Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from jitgate.core.catalogue import Order, Sought, Standing
from jitgate.core.errors import Invalid
from jitgate.core.machine import OperatingSystem
from jitgate.core.roles import FREEZE, INITIATE, JOIN_HOST, WRITE_CONNECTOR, WRITE_POLICY
from jitgate.service import catalogue, freezes
from jitgate.service.base import Service
from jitgate.service.plans import read_scope
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.portal.pages import page
from jitgate.web.portal.routing import Route

Choice = TypeVar("Choice", Standing, Order, OperatingSystem)

PATH = "/machines"
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class View:
    """What the page is asked to show: a tab, what is looked for in it, and in which order."""

    tab: Standing
    text: str
    connector: str
    group: str
    os: OperatingSystem | None
    tag: str
    order: Order
    reverse: bool
    after: str

    @property
    def is_narrowed(self) -> bool:
        """Whether anything is left out."""
        return bool(self.text or self.connector or self.group or self.os or self.tag)

    def link(self, **changes: str) -> str:
        """The address of this page with something else chosen; from its beginning again."""
        chosen = {
            "tab": self.tab.value,
            "q": self.text,
            "connector": self.connector,
            "group": self.group,
            "os": self.os.value if self.os else "",
            "tag": self.tag,
            "sort": self.order.value,
            "reverse": "1" if self.reverse else "",
            **changes,
        }
        return f"{PATH}?{urlencode({name: value for name, value in chosen.items() if value})}"

    def sorted_by(self, order: str) -> str:
        """The address of this page in an order; the other way round where it is in that order already."""
        again = self.order == order and not self.reverse
        return self.link(sort=order, reverse="1" if again else "")


async def show(request: Request) -> Response:
    """The page."""
    service, asker = service_of(request), asker_of(request)
    view = read_view(request.query_params)
    sought = _sought(service, view)
    found = await catalogue.find_machines(
        service, asker, sought, order=view.order, reverse=view.reverse, limit=AT_ONCE, after=view.after or None
    )
    connectors, groups = await catalogue.choices(service, asker)
    return page(
        request,
        "machines.html",
        view=view,
        machines=found.items,
        next=view.link(after=found.after) if found.after else "",
        counts=await catalogue.count_machines(service, asker, sought),
        most=catalogue.MOST_COUNTED,
        may_ask=bool(asker.principal.scopes(INITIATE)),
        may_join=bool(asker.principal.scopes(JOIN_HOST)),
        may_connect=asker.principal.may(WRITE_CONNECTOR, "/"),
        may_configure=bool(asker.principal.scopes(WRITE_POLICY)),
        connectors=connectors,
        groups=groups,
        scope=sought.scope,
        frozen=await freezes.list_concerning(service, asker, [sought.scope] if view.group else ()),
        may_freeze=bool(view.group) and asker.principal.may(FREEZE, sought.scope),
    )


def read_view(query: QueryParams) -> View:
    """What the page is asked to show. Raises Invalid."""
    tab = _one_of(Standing, query.get("tab") or Standing.CONFIGURED, "tab")
    usual = Order.EXPOSURE if tab is Standing.NOT_CONFIGURED else Order.NAME
    os = query.get("os")
    return View(
        tab=tab,
        text=query.get("q", "").strip(),
        connector=query.get("connector", ""),
        group=query.get("group", "").strip(),
        os=_one_of(OperatingSystem, os, "os") if os else None,
        tag=query.get("tag", "").strip(),
        order=_one_of(Order, query.get("sort") or usual, "sort"),
        reverse=query.get("reverse") == "1",
        after=query.get("after", ""),
    )


def _sought(service: Service, view: View) -> Sought:
    scope = read_scope(service, view.group, "group") if view.group else "/"
    tags = (view.tag,) if view.tag else ()
    return Sought(view.tab, scope, view.connector, view.os, tags, view.text)


def _one_of(kind: type[Choice], text: str, field: str) -> Choice:
    try:
        return kind(text)
    except ValueError:
        raise Invalid(field, f"{text[:50]!r} is none", allowed=", ".join(kind)) from None


ROUTES = (Route("GET", PATH, show),)
