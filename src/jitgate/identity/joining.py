"""Join tokens: what lets a host become a member."""

from dataclasses import dataclass
from datetime import timedelta

from jitgate.core.errors import Unauthenticated
from jitgate.core.roles import Principal
from jitgate.identity.kinds import JOIN
from jitgate.store import credentials, hosts, principals
from jitgate.store.database import Tx
from jitgate.store.hosts import JoinToken
from jitgate.store.principals import Credential
from jitgate.trust import tokens
from jitgate.trust.tokens import NO_TOKEN, Token

_MESSAGE = "This is not a join token that is in force. Make another: jitgate host token"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A join token that is in force, and who made it."""

    allowed: JoinToken
    maker: Principal


def make(tx: Tx, maker: Principal, resource_group: str, uses: int, lifetime: timedelta) -> Token:
    """A new join token. Its text is known to the caller alone."""
    token = tokens.make()
    label = f"joins {uses} host{'s' * (uses != 1)} to {resource_group}"
    made = Credential(token.id, maker.uid, JOIN, label, token.digest, tx.now, expires_at=tx.now + lifetime)
    credentials.add(tx, made)
    hosts.add_token(tx, JoinToken(token.id, resource_group, uses))
    return token


def prove(tx: Tx, text: str) -> Invitation:
    """What a join token allows. Raises Unauthenticated, always with the same message."""
    token = tokens.parse(text)
    proof = principals.prove(tx, token.id) if token else None
    # Compared in any case, so that an unknown id takes as long as a wrong secret.
    matches = tokens.matches(token.secret if token else "", proof.credential.secret_hash if proof else NO_TOKEN)
    if proof is None or token is None or not matches or proof.credential.kind != JOIN:
        raise Unauthenticated(_MESSAGE)
    credential, allowed = proof.credential, hosts.token(tx, token.id)
    expired = credential.expires_at is None or credential.expires_at <= tx.now
    if allowed is None or expired or credential.revoked_at is not None or proof.disabled_at is not None:
        raise Unauthenticated(_MESSAGE)
    return Invitation(allowed, proof.principal)


def id_of(text: str) -> str:
    """The public part of a token; "" for what cannot be one."""
    token = tokens.parse(text)
    return token.id if token else ""
