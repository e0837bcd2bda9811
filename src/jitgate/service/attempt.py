"""Carrying out a use case: in one transaction with its record; a refusal is recorded on its own."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jitgate import audit
from jitgate.audit import Actor, Event, Operation, Outcome
from jitgate.core.errors import Forbidden, JitgateError, Unavailable
from jitgate.service.base import Asker, Service
from jitgate.store import freezes
from jitgate.store.database import Tx

T = TypeVar("T")

_LEFT_TO_THE_FROZEN = frozenset(
    {
        Operation.REQUEST,
        Operation.BREAK_GLASS,
        Operation.REQUEST_EXTEND,
        Operation.REQUEST_MOVE,
        Operation.REQUEST_SHORTEN,
        Operation.REQUEST_CLOSE,
        Operation.WITHDRAW,
        Operation.CREDENTIAL_CREATE,
        Operation.CREDENTIAL_REVOKE,
    }
)
"""What opens ports is refused by the decision itself, with what else stands against it; the rest gives something up, or
is about one's own sign-in. All else would change things for others: let a second account in, or shut others out."""


async def attempt(service: Service, asker: Asker, operation: Operation, resource: str, work: Callable[[Tx], T]) -> T:
    """Run a use case's work, unless who asks is frozen. What is refused is put on record, then raised."""

    def allowed(tx: Tx) -> T:
        if operation not in _LEFT_TO_THE_FROZEN:
            must_not_be_frozen(tx, asker)
        return work(tx)

    try:
        return await service.store.write(allowed)
    except Unavailable:
        raise
    except JitgateError as error:
        refused = event(asker, operation, Outcome.REFUSED, resource, audit.refusal(error))
        await service.store.write(lambda tx: audit.record(tx, [refused]))
        raise


def must_not_be_frozen(tx: Tx, asker: Asker) -> None:
    """Who is frozen decides nothing about others, nor about themselves. Raises Forbidden."""
    held = freezes.of_person(tx, asker.principal.uid)
    if held:
        raise Forbidden(f"{asker.principal.name} is frozen: {held[0].why}. Another administrator can thaw you.")


def event(
    asker: Asker, operation: Operation, outcome: Outcome, resource: str, properties: Mapping[str, Any] | None = None
) -> Event:
    """Something that a person or program did, or was refused."""
    return Event(operation, outcome, resource, actor(asker), asker.correlation, properties or {})


def actor(asker: Asker) -> Actor:
    """Who asks, as the record keeps it."""
    return Actor(asker.principal.uid, asker.principal.name, asker.credential or None, asker.address)


def require(asker: Asker, action: str, resource: str) -> None:
    """Raise Forbidden unless the asker holds a right. Says nothing of whether the resource exists."""
    if not asker.principal.may(action, resource):
        raise Forbidden(
            f"{asker.principal.name} lacks the right {action} at {resource}. "
            "Ask an administrator for a role that holds it."
        )
