"""From a secret to whom it proves, and new secrets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from jitgate.core.errors import Unauthenticated
from jitgate.core.roles import Limit, Principal
from jitgate.identity.kinds import BEARER, OWNER
from jitgate.store import credentials, principals
from jitgate.store.database import Store, Tx
from jitgate.store.principals import Credential, Proof
from jitgate.trust import tokens
from jitgate.trust.tokens import NO_TOKEN, Token

USED_EVERY = timedelta(minutes=1)
"""How exactly it is known when a credential was last used: a write for every call would be one too many."""

LIMIT = "limit"
MESSAGE = "Nobody known is asking. Send a personal token that is in force: Authorization: Bearer TOKEN"
REVOKED, EXPIRED, IDLE, DISABLED = (
    "the credential was revoked",
    "the credential has expired",
    "the session was idle for too long",
    "the principal is disabled",
)


@dataclass(frozen=True, slots=True)
class Known:
    """Whom a credential proves, with all roles, as of now. `credential`: its id; `is_lent`: it stands in for another,
    for minutes, and must not make lasting ones."""

    principal: Principal
    credential: str
    is_lent: bool = False


class NotKnown(Unauthenticated):
    """Nobody is proven. `why` is for the record; the caller is told the same whatever it is."""

    def __init__(self, why: str) -> None:
        super().__init__(MESSAGE)
        self.why = why


class NoLongerValid(NotKnown):
    """The secret is right, but it has expired or was revoked, or its principal was disabled.

    The caller is told no more than a stranger. For the record: whose it was, and why it does not count.
    `is_alarm`: it is the token of the first start, which nobody should hold any more.
    """

    def __init__(self, known: Known, why: str, *, is_alarm: bool = False) -> None:
        super().__init__(why)
        self.known = known
        self.is_alarm = is_alarm


@dataclass(frozen=True, slots=True)
class New:
    """A credential to be made. `life`: None: it does not end by itself."""

    kind: str
    label: str = ""
    life: timedelta | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


async def authenticate(
    store: Store,
    bearer: str,
    kinds: Collection[str] = BEARER,
    *,
    idle: timedelta | None = None,
    address: str | None = None,
) -> Known:
    """Whom a secret proves that has the form of a token. `idle`: how long it may lie unused.

    Read afresh for every call, so that what is revoked, disabled or taken away stops counting at once.
    Raises NotKnown, always with the same message.
    """
    token = tokens.parse(bearer)
    if token is None:
        raise NotKnown("no token has this form" if bearer else "no token was sent")
    known, is_used = await store.glance(lambda tx: _read(tx, token, kinds, idle))
    if is_used:
        await store.write(lambda tx: credentials.use(tx, token.id, address))
    return known


def prove(tx: Tx, token: Token, kinds: Collection[str], *, idle: timedelta | None = None) -> Known:
    """Whom a token proves, as one of some kinds. Raises NotKnown."""
    return _known(_check(tx, token, kinds, idle))


def still_proves(tx: Tx, id: str, kinds: Collection[str], *, idle: timedelta | None = None) -> Known:
    """Whom a credential proves that was checked before, and lent to what is at hand now. Raises NotKnown."""
    proof = principals.prove(tx, id)
    if proof is None or proof.credential.kind not in kinds:
        raise NotKnown("the credential is gone")
    _must_count(tx, proof, idle)
    return _known(proof)


def make(tx: Tx, principal: str | None, new: New, id: str = "") -> Token:
    """A new credential of a principal (by uid); the secret is in what is returned, and nowhere else."""
    token = replace(tokens.make(), id=id) if id else tokens.make()
    ends = None if new.life is None else tx.now + new.life
    row = Credential(token.id, principal, new.kind, new.label, token.digest, tx.now, ends, facts=new.facts)
    credentials.add(tx, row)
    return token


def as_fact(limit: Limit) -> Mapping[str, Any]:
    """A limit as a credential keeps it."""
    return {LIMIT: {"actions": list(limit.actions), "scope": limit.scope}}


def limit_of(facts: Mapping[str, Any]) -> Limit | None:
    """The limit that a credential keeps."""
    found = facts.get(LIMIT)
    return None if found is None else Limit(tuple(found["actions"]), found["scope"])


def _read(tx: Tx, token: Token, kinds: Collection[str], idle: timedelta | None) -> tuple[Known, bool]:
    proof = _check(tx, token, kinds, idle)
    used = proof.credential.used_at
    return _known(proof), used is None or tx.now - used >= USED_EVERY


def _check(tx: Tx, token: Token, kinds: Collection[str], idle: timedelta | None) -> Proof:
    proof = principals.prove(tx, token.id)
    # Compared in any case, so that an unknown id takes as long as a wrong secret.
    matches = tokens.matches(token.secret, proof.credential.secret_hash if proof else NO_TOKEN)
    if proof is None or not matches or proof.credential.kind not in kinds:
        raise NotKnown("no such credential")
    _must_count(tx, proof, idle)
    return proof


def _must_count(tx: Tx, proof: Proof, idle: timedelta | None) -> None:
    why = _why_not(tx, proof, idle)
    if why:
        is_alarm = proof.credential.kind == OWNER and proof.disabled_at is not None
        raise NoLongerValid(_known(proof), why, is_alarm=is_alarm)


def _why_not(tx: Tx, proof: Proof, idle: timedelta | None) -> str:
    """Why a credential whose secret is right does not count; "" if it does."""
    held = proof.credential
    if held.revoked_at is not None:
        return REVOKED
    if held.expires_at is not None and held.expires_at <= tx.now:
        return EXPIRED
    if idle is not None and (held.used_at or held.created_at) + idle <= tx.now:
        return IDLE
    return DISABLED if proof.disabled_at is not None else ""


def _known(proof: Proof) -> Known:
    return Known(replace(proof.principal, limit=limit_of(proof.credential.facts)), proof.credential.id)
