"""Putting on record that somebody could not sign in, without letting strangers fill the record."""

import structlog

from jitgate import audit
from jitgate.audit import Actor, Event, Operation, Outcome
from jitgate.core.prefixes import Prefix
from jitgate.identity.attempts import by_address
from jitgate.identity.credentials import NoLongerValid, NotKnown
from jitgate.service.base import Service

STRANGER = "somebody unknown"
EVERYBODY = "record:everybody"

_log = structlog.get_logger(__name__)


async def refuse(service: Service, error: NotKnown, address: Prefix | None, correlation: str) -> None:
    """Put a refusal on record, with its reason. Those of strangers only as long as there are few; all are logged."""
    _log.warning("sign-in refused", why=error.why, address=address, correlation=correlation)
    if isinstance(error, NoLongerValid) or _may_record(service, address):
        refused = _event(error, address, correlation)
        await service.store.write(lambda tx: audit.record(tx, [refused]))


def _may_record(service: Service, address: Prefix | None) -> bool:
    """From one address at most some sixty at once and one a second, and no more than that from all together."""
    now, attempts = service.clock.elapsed(), service.attempts
    return attempts.may(now, f"record:{by_address(address)}") and attempts.may(now, EVERYBODY)


def _event(error: NotKnown, address: Prefix | None, correlation: str) -> Event:
    if not isinstance(error, NoLongerValid):
        actor = Actor(name=STRANGER, address=address)
        return Event(Operation.SIGN_IN_REFUSED, Outcome.REFUSED, "/", actor, correlation, {"why": error.why})
    principal, credential = error.known.principal, error.known.credential
    actor = Actor(principal.uid, principal.name, credential, address)
    operation = Operation.OWNER_TOKEN_USED if error.is_alarm else Operation.SIGN_IN_REFUSED
    return Event(operation, Outcome.REFUSED, principal.uid, actor, correlation, {"why": error.why})
