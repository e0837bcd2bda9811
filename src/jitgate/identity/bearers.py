"""From what stands in an Authorization header to whom it proves: a personal token, or a token that was signed."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from jitgate.identity.credentials import Known, authenticate, still_proves
from jitgate.identity.issuers import Claimed, Issuers
from jitgate.identity.kinds import SECRET
from jitgate.identity.signing import ACCESS, Signer, is_token
from jitgate.store.database import Store

LENDERS = frozenset({SECRET})
"""The kinds of credentials that our own access tokens stand in for."""


@dataclass(frozen=True, slots=True)
class Bearers:
    """Whose tokens are believed: our own, and those of issuers that are trusted."""

    signer: Signer = field(default_factory=Signer.temporary)
    issuers: Issuers = field(default_factory=Issuers)

    async def prove(self, store: Store, bearer: str, now: datetime, address: str | None) -> Known | Claimed:
        """Whom a bearer token proves, or whom its issuer says that it is about. Raises NotKnown."""
        if not is_token(bearer):
            return await authenticate(store, bearer, address=address)
        if not self.signer.has_signed(bearer):
            return await self.issuers.read(bearer, now)
        claims = self.signer.read(ACCESS, bearer, now)
        known = await store.read(lambda tx: still_proves(tx, str(claims["cid"]), LENDERS))
        return replace(known, is_lent=True)
