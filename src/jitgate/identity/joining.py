"""Join tokens: what lets a host become a member."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from jitgate.core.roles import Principal
from jitgate.identity.credentials import Known, NoLongerValid, NotKnown
from jitgate.identity.kinds import JOIN
from jitgate.store import credentials, hosts, principals
from jitgate.store.database import Tx
from jitgate.store.hosts import JoinToken
from jitgate.store.principals import Credential, Proof
from jitgate.trust import tokens
from jitgate.trust.tokens import NO_TOKEN, Token


@dataclass(frozen=True, slots=True)
class Invitation:
    """A join token that is in force, and who made it."""

    allowed: JoinToken
    maker: Principal

    def counts_no_more(self, why: str) -> NoLongerValid:
        """The refusal of it."""
        return NoLongerValid(Known(self.maker, self.allowed.credential), why)


def make(tx: Tx, maker: Principal, resource_group: str, uses: int, lifetime: timedelta) -> Token:
    """A new join token. Its text is known to the caller alone."""
    token = tokens.make()
    label = f"joins {uses} host{'s' * (uses != 1)} to {resource_group}"
    made = Credential(token.id, maker.uid, JOIN, label, token.digest, tx.now, expires_at=tx.now + lifetime)
    credentials.add(tx, made)
    hosts.add_token(tx, JoinToken(token.id, resource_group, uses))
    return token


def prove(tx: Tx, text: str) -> Invitation:
    """What a join token allows. Raises NotKnown, which tells the caller no more than that."""
    token = tokens.parse(text)
    proof = principals.prove(tx, token.id) if token else None
    # Compared in any case, so that an unknown id takes as long as a wrong secret.
    matches = tokens.matches(token.secret if token else "", proof.credential.secret_hash if proof else NO_TOKEN)
    allowed = hosts.token(tx, proof.credential.id) if proof and matches else None
    if proof is None or allowed is None:
        raise NotKnown("what was sent is no join token")
    invitation = Invitation(allowed, proof.principal)
    if why := _why_not(proof, tx.now):
        raise invitation.counts_no_more(why)
    return invitation


def id_of(text: str) -> str:
    """The public part of a token; "" for what cannot be one."""
    token = tokens.parse(text)
    return token.id if token else ""


def _why_not(proof: Proof, now: datetime) -> str:
    """Why a join token whose secret is right does not count; "" if it does."""
    if proof.credential.revoked_at is not None:
        return "the join token was revoked"
    if proof.credential.expires_at is None or proof.credential.expires_at <= now:
        return "the join token has expired"
    return "who made the join token is disabled" if proof.disabled_at is not None else ""
