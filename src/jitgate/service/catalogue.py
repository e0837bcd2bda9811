"""The catalogue of machines: looked through by those who may read some of it."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from jitgate.core import catalogue, roles
from jitgate.core.catalogue import Order, Sought, Standing
from jitgate.core.errors import Invalid
from jitgate.service import presentation
from jitgate.service.base import Asker, Service
from jitgate.service.views import MachineView, Page
from jitgate.store import catalogue as rows
from jitgate.store import policies
from jitgate.store.catalogue import MOST_COUNTED, Mark
from jitgate.store.database import Tx

__all__ = ["MOST_COUNTED", "MOST_PLACES", "choices", "count_machines", "find_machines", "places"]

MOST_PLACES = 400
MOST_CHOICES = 50
_LONGEST_TOKEN = 8192


async def find_machines(
    service: Service,
    asker: Asker,
    sought: Sought,
    *,
    order: Order = Order.NAME,
    reverse: bool = False,
    limit: int = 100,
    after: str | None = None,
) -> Page[MachineView]:
    """Machines that the asker may read, in an order; ties by name. Raises Invalid."""
    catalogue.check(sought)
    mark = _read_mark(after, order)

    def work(tx: Tx) -> Page[MachineView]:
        inside = places(asker, sought.scope)
        found = rows.page(tx, sought, inside, order, mark, limit + 1, reverse=reverse)
        shown = [one.machine for one in found[:limit]]
        views = presentation.machine_views(tx, shown, policies.ids_covering(tx, [m.key for m in shown]))
        return Page(views, _write_mark(found[limit - 1].mark) if len(found) > limit else None)

    return await service.store.read(work)


async def count_machines(service: Service, asker: Asker, sought: Sought) -> dict[Standing, int]:
    """How many of what is sought stand how, of what the asker may read; `MOST_COUNTED` + 1 stands for more.

    Raises Invalid.
    """
    catalogue.check(sought)

    def work(tx: Tx) -> dict[Standing, int]:
        inside = places(asker, sought.scope)
        return {standing: rows.count(tx, replace(sought, standing=standing), inside) for standing in Standing}

    return await service.store.read(work)


async def choices(service: Service, asker: Asker) -> tuple[Sequence[str], Sequence[str]]:
    """The connectors and the resource groups that one can look in: of each, some that have machines to be seen."""

    def work(tx: Tx) -> tuple[Sequence[str], Sequence[str]]:
        inside = places(asker, "/")
        return rows.connectors(tx, MOST_CHOICES) if inside else [], rows.groups(tx, inside, MOST_CHOICES)

    return await service.store.read(work)


def places(asker: Asker, scope: str, right: str = roles.READ_MACHINE) -> tuple[str, ...]:
    """Where the asker holds a right over machines, inside a scope path. Raises Invalid for too many places."""
    found = catalogue.within(asker.principal.scopes(right), scope)
    if len(found) > MOST_PLACES:
        why = f"your roles are at {len(found)} places, of which {MOST_PLACES} at most can be looked through together"
        raise Invalid("scope", why, allowed="a subscription or resource group to look in")
    return found


def _write_mark(mark: Mark) -> str:
    """A mark as a text that its reader hands back."""
    told = [{"at": part.isoformat()} if isinstance(part, datetime) else part for part in mark]
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def _read_mark(after: str | None, order: Order) -> Mark | None:
    """The mark out of what was handed back. Raises Invalid."""
    if after is None:
        return None
    try:
        told = json.loads(base64.urlsafe_b64decode(after[:_LONGEST_TOKEN] + "=" * (-len(after) % 4)))
        mark = tuple(map(_read_part, told if isinstance(told, list) else []))
    except (ValueError, RecursionError):
        mark = ()
    if tuple(map(type, mark)) != _PARTS[order]:
        raise Invalid("after", "this page was never given out", allowed="the value that the last page ended with")
    return mark


def _read_part(part: object) -> object:
    if isinstance(part, dict):
        moment = datetime.fromisoformat(str(part.get("at")))
        return moment if moment.tzinfo else None
    is_good = "\x00" not in part if isinstance(part, str) else isinstance(part, int) and 0 <= part < 2**31
    return part if is_good else None


_PARTS: Mapping[Order, tuple[type, ...]] = {
    Order.NAME: (str, str),
    Order.EXPOSURE: (int, str, str),
    Order.ACCESS: (datetime, str),
}
"""What a mark of each order is made of."""
