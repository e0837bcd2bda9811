"""Carrying out a use case: in one transaction with its record; a refusal is recorded on its own."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jitgate import audit
from jitgate.audit import Actor, Event, Operation, Outcome
from jitgate.core.errors import Forbidden, JitgateError, Unavailable
from jitgate.service.base import Asker, Service
from jitgate.store.database import Tx

T = TypeVar("T")


async def attempt(service: Service, asker: Asker, operation: Operation, resource: str, work: Callable[[Tx], T]) -> T:
    """Run a use case's work. What it refuses is put on record, then raised."""
    try:
        return await service.store.write(work)
    except Unavailable:
        raise
    except JitgateError as error:
        refused = event(asker, operation, Outcome.REFUSED, resource, audit.refusal(error))
        await service.store.write(lambda tx: audit.record(tx, [refused]))
        raise


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
