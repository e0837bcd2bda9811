"""Who is calling, by the bearer token that they hold (RFC 6750, 2.1). No cookie, no query parameter."""

from starlette.types import Scope

from jitgate.service.base import Asker, Service
from jitgate.service.recognition import Caller, identify


async def identify_bearer(service: Service, scope: Scope, caller: Caller) -> Asker:
    """Who asks. Raises NotKnown; what was sent in vain is put on record."""
    return await identify(service, caller, bearer(scope))


def bearer(scope: Scope) -> str:
    """The token that was sent; "" for none, for several, and for another scheme."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(sent) != 1:
        return ""
    scheme, _, token = sent[0].decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
