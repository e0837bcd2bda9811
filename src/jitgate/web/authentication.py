"""Who is calling, by the bearer token that they hold (RFC 6750, 2.1). No cookie, no query parameter."""

from starlette.types import Scope

from jitgate.core.prefixes import Prefix
from jitgate.identity.credentials import NotKnown
from jitgate.service.base import Asker, Service
from jitgate.service.refusals import refuse


async def identify(service: Service, scope: Scope, address: Prefix | None, correlation: str) -> Asker:
    """Who asks. Raises NotKnown; what was sent in vain is put on record."""
    sent = bearer(scope)
    try:
        known = await service.bearers.prove(service.store, sent, service.clock.wall(), address)
    except NotKnown as error:
        if sent:
            await refuse(service, error, address, correlation)
        raise
    return Asker(known.principal, known.credential, address, correlation, known.is_lent)


def bearer(scope: Scope) -> str:
    """The token that was sent; "" for none, for several, and for another scheme."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(sent) != 1:
        return ""
    scheme, _, token = sent[0].decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
