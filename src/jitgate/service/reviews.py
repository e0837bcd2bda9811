"""Looking at what broke the glass, afterwards, by somebody else."""

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.errors import Conflict, Forbidden, Invalid
from jitgate.service import presentation
from jitgate.service.approvals import LONGEST_NOTE, find
from jitgate.service.attempt import attempt, event
from jitgate.service.base import Asker, Service
from jitgate.service.independence import require_other_person
from jitgate.service.requests import is_own
from jitgate.service.views import RequestView
from jitgate.store import requests, reviews
from jitgate.store.database import Tx
from jitgate.store.requests import Granted

MOST_LISTED = 1000


async def list_reviews(service: Service, asker: Asker) -> tuple[RequestView, ...]:
    """The requests that broke the glass and that nobody has looked at yet, the oldest first, of those one may see."""

    def work(tx: Tx) -> tuple[RequestView, ...]:
        found = [requests.get(tx, review.request) for review in reviews.list_open(tx, MOST_LISTED)]
        seen = [given for given in found if _may_review(asker, given) or _is_own(asker, given)]
        return tuple(view for given in seen for view in presentation.requests(tx, given))

    return await service.store.read(work)


async def review(service: Service, asker: Asker, uid: str, note: str) -> RequestView:
    """Close the review of a request, with what was found. Raises NotFound, Invalid, Forbidden (one's own), Conflict."""
    if not 0 < len(note.strip()) <= LONGEST_NOTE:
        raise Invalid("note", "it is not said what was found", allowed=f"1 to {LONGEST_NOTE} characters")

    def work(tx: Tx) -> RequestView:
        given = find(tx, asker, uid)
        asked = given[0].asked
        if asked.principal == asker.principal.uid:
            raise Forbidden("Nobody reviews their own request: somebody else has to.")
        if not _may_review(asker, given):
            raise Forbidden(f"To review it you need the right {roles.APPROVE} at its machines.")
        require_other_person(tx, asker, asked.principal, asked.at)
        if not reviews.close(tx, asked.uid, asker.principal.uid, note.strip()):
            raise Conflict(f"Request {asked.uid[:8]} has no open review.")
        facts = {"request": asked.uid, "requestor": asked.requestor, "note": note.strip()}
        machines = dict.fromkeys(one.machine_id for one in given)
        audit.record(tx, [event(asker, Operation.REVIEW, Outcome.SUCCEEDED, machine, facts) for machine in machines])
        return presentation.requests(tx, given)[0]

    return await attempt(service, asker, Operation.REVIEW, f"request/{uid[:40]}", work)


def _is_own(asker: Asker, given: list[Granted]) -> bool:
    return bool(given) and all(is_own(asker, one) for one in given)


def _may_review(asker: Asker, given: list[Granted]) -> bool:
    return bool(given) and all(asker.principal.may(roles.APPROVE, one.machine_id) for one in given)
