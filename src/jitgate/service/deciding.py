"""One request as whoever decides it looks at it: what matters, and what became of it if somebody else was faster."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jitgate import reconsideration
from jitgate.core.access import State
from jitgate.core.decide import Denied
from jitgate.core.duration import Duration
from jitgate.service import presentation
from jitgate.service.approvals import find, waiting_view
from jitgate.service.base import Asker, Service
from jitgate.service.requests import may_read
from jitgate.service.views import ConsideredView, RequestView
from jitgate.store import approvals, requests
from jitgate.store.database import Tx
from jitgate.store.requests import Asked, Granted

MOST_EARLIER = 3
_LOOKED_AT = 20
"""So many are looked at for those that the reader may read."""


async def consider(service: Service, asker: Asker, uid: str) -> ConsideredView:
    """A request, by its uid or the beginning, for who may know of it. Raises NotFound, Invalid."""
    return await service.store.read(lambda tx: _consider(tx, asker, find(tx, asker, uid)))


def _consider(tx: Tx, asker: Asker, given: Sequence[Granted]) -> ConsideredView:
    asked = given[0].asked
    view = presentation.requests(tx, given)[0]
    return ConsideredView(
        request=replace(view, said=tuple(approvals.of(tx, [asked.uid])[asked.uid])),
        waiting=waiting_view(tx, asker, given),
        longest=_longest(tx, [one for one in given if one.grant.state is State.PENDING]),
        earlier=_earlier(tx, asker, asked),
    )


def _longest(tx: Tx, pending: Sequence[Granted]) -> Mapping[str, Duration]:
    """How long each grant that waits could last, if as much was asked for as is allowed."""
    if not pending:
        return {}
    decision = reconsideration.decide_again(tx, pending, {one.grant.uid: None for one in pending})
    if isinstance(decision, Denied):
        return {}
    by_port = {(terms.machine, terms.port): terms.span.duration for terms in decision.terms}
    found = {one.grant.uid: by_port.get((one.grant.machine, one.grant.port)) for one in pending}
    return {uid: length for uid, length in found.items() if length is not None}


def _earlier(tx: Tx, asker: Asker, asked: Asked) -> tuple[RequestView, ...]:
    found: list[Granted] = []
    seen = 0
    for uid in requests.latest_of(tx, asked.principal, asked.at, _LOOKED_AT):
        given = requests.get(tx, uid)
        if seen < MOST_EARLIER and given and all(may_read(asker, one) for one in given):
            found += given
            seen += 1
    return presentation.requests(tx, found)
