"""Who is calling, by the bearer token that they hold (RFC 6750, 2.1). No cookie, no query parameter."""

from starlette.types import Scope

from jitgate import audit
from jitgate.audit import Actor, Event, Operation, Outcome
from jitgate.core.prefixes import Prefix
from jitgate.identity.credentials import NoLongerValid, authenticate
from jitgate.service.base import Asker, Service


async def identify(service: Service, scope: Scope, address: Prefix | None, correlation: str) -> Asker:
    """Who asks. Raises Unauthenticated; a token that was good once is put on record."""
    try:
        known = await authenticate(service.store, _bearer(scope))
    except NoLongerValid as error:
        refused = _event(error, address, correlation)
        await service.store.write(lambda tx: audit.record(tx, [refused]))
        raise
    return Asker(known.principal, known.credential, address, correlation)


def _bearer(scope: Scope) -> str:
    """The token that was sent; "" for none, for several, and for another scheme."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(sent) != 1:
        return ""
    scheme, _, token = sent[0].decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _event(error: NoLongerValid, address: Prefix | None, correlation: str) -> Event:
    """Only who holds the secret can bring this about, so strangers cannot fill the record."""
    principal, credential = error.known.principal, error.known.credential
    actor = Actor(principal.uid, principal.name, credential, address)
    return Event(Operation.SIGN_IN_REFUSED, Outcome.REFUSED, principal.uid, actor, correlation, {"why": error.why})
