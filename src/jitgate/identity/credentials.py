"""From a bearer token to whom it proves."""

from dataclasses import dataclass

from jitgate.core.errors import Unauthenticated
from jitgate.core.roles import Principal
from jitgate.store import principals
from jitgate.store.database import Store, Tx
from jitgate.store.principals import Proof
from jitgate.trust import tokens
from jitgate.trust.tokens import NO_TOKEN, Token

TOKEN = "token"  # noqa: S105 - the kind of a credential

_MESSAGE = "Nobody known is asking. Send a personal token that is in force: Authorization: Bearer TOKEN"


@dataclass(frozen=True, slots=True)
class Known:
    """Whom a credential proves, with all roles, as of now. `credential`: its id."""

    principal: Principal
    credential: str


class NoLongerValid(Unauthenticated):
    """The secret is right, but it has expired or was revoked, or its principal was disabled.

    The caller is told no more than a stranger. For the record: whose it was, and why it does not count.
    """

    def __init__(self, known: Known, why: str) -> None:
        super().__init__(_MESSAGE)
        self.known = known
        self.why = why


async def authenticate(store: Store, bearer: str) -> Known:
    """Whom a bearer token proves.

    Read afresh for every call, so that what is revoked, disabled or taken away stops counting at once.
    Raises Unauthenticated, always with the same message.
    """
    token = tokens.parse(bearer)
    if token is None:
        raise Unauthenticated(_MESSAGE)
    return await store.read(lambda tx: _prove(tx, token))


def _prove(tx: Tx, token: Token) -> Known:
    proof = principals.prove(tx, token.id)
    # Compared in any case, so that an unknown id takes as long as a wrong secret.
    matches = tokens.matches(token.secret, proof.credential.secret_hash if proof else NO_TOKEN)
    if proof is None or not matches or proof.credential.kind != TOKEN:
        raise Unauthenticated(_MESSAGE)
    known = Known(proof.principal, proof.credential.id)
    why = _why_not(proof, tx)
    if why:
        raise NoLongerValid(known, why)
    return known


def _why_not(proof: Proof, tx: Tx) -> str:
    """Why a credential whose secret is right does not count; "" if it does."""
    if proof.credential.revoked_at is not None:
        return "the token was revoked"
    if proof.credential.expires_at is not None and proof.credential.expires_at <= tx.now:
        return "the token has expired"
    return "the principal is disabled" if proof.disabled_at is not None else ""
