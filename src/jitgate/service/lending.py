"""Service principals sign in: a client secret for an access token that lasts minutes."""

from dataclasses import dataclass
from uuid import UUID, uuid5

from jitgate.core.errors import Unauthenticated
from jitgate.core.resource_id import key
from jitgate.identity import credentials as proofs
from jitgate.identity.attempts import by_address, by_principal
from jitgate.identity.credentials import Known, NotKnown
from jitgate.identity.kinds import SECRET
from jitgate.identity.signing import ACCESS, ACCESS_LIFE
from jitgate.service.base import Service
from jitgate.service.recognition import Caller
from jitgate.service.refusals import refuse
from jitgate.store import credentials
from jitgate.store.database import Tx
from jitgate.trust import tokens

_TENANT = UUID("6f2f1c5e-6d0f-4b0e-8f5a-0f6b9f1d7a3c")
"""Any fixed UUID: a tenant's id is made from it and the installation's subscription."""


class WrongClient(Unauthenticated):
    """The client or its secret is wrong; which of them is for the record only."""

    def __init__(self) -> None:
        super().__init__("The client or its secret is wrong, or no longer in force.")


@dataclass(frozen=True, slots=True)
class Lent:
    """An access token, and for how many seconds it is good."""

    token: str
    seconds: int


def tenant(service: Service) -> str:
    """The tenant's id of this installation, as Azure's clients want one."""
    return str(uuid5(_TENANT, key(service.settings.subscription)))


def client_id(uid: str) -> str:
    """A principal's uid as Azure's clients write application ids."""
    try:
        return str(UUID(uid))
    except ValueError:
        return uid


async def lend(service: Service, caller: Caller, client: str, secret: str, issuer: str) -> Lent:
    """An access token for a client secret. `client`: the principal's id, or its name.

    Raises TooMany, and WrongClient in the same words whatever is wrong.
    """
    now, strangers = service.clock.elapsed(), by_address(caller.address)
    service.attempts.check(now, strangers)
    try:
        known = await _prove(service, caller, client, secret)
    except NotKnown as error:
        service.attempts.failed(now, strangers)
        await refuse(service, error, caller.address, caller.correlation)
        raise WrongClient from None
    # Not before it is proven: whoever knows a client's name could keep the client out.
    service.attempts.check(now, by_principal(known.principal.uid))
    claims = {
        "iss": issuer,
        "aud": tenant(service),
        "sub": known.principal.uid,
        "oid": client_id(known.principal.uid),
        "appid": client_id(known.principal.uid),
        "tid": tenant(service),
        "cid": known.credential,
        "ver": "1.0",
        "idtyp": "app",
    }
    token = service.bearers.signer.sign(ACCESS, claims, service.clock.wall(), ACCESS_LIFE)
    return Lent(token, int(ACCESS_LIFE.total_seconds()))


async def _prove(service: Service, caller: Caller, client: str, secret: str) -> Known:
    token = tokens.parse(secret)
    if token is None:
        raise NotKnown("no client secret has this form")

    def check(tx: Tx) -> Known:
        known = proofs.prove(tx, token, {SECRET})
        if key(client) not in {key(known.principal.uid), client_id(known.principal.uid), key(known.principal.name)}:
            raise NotKnown("the secret is another client's")
        return known

    known = await service.store.read(check)
    await service.store.write(lambda tx: credentials.use(tx, known.credential, caller.address))
    return known
