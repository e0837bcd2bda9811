"""jitgate's own short-lived tokens: signed with a key of its own, which is a file and never a row.

A token stands in for a credential for minutes. It says which one, and that is looked up on each use: what is revoked or
disabled stops counting at once, also where its token has not expired.

``typ`` tells tokens of several purposes apart, so that one can never be taken for another (RFC 8725, 3.11).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from jitgate.core.errors import Invalid
from jitgate.identity.credentials import NotKnown
from jitgate.trust.files import PRIVATE, create_private

FILE = "signing.key"
ALGORITHM = "ES256"
LONGEST = 16 * 1024
"""Characters of a token that is looked at, ours or others'. Entra ID's with many groups come to some 8,000."""

ACCESS = "at+jwt"
"""An access token (RFC 9068)."""

ACCESS_LIFE = timedelta(minutes=15)

Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signer:
    """A key, with what it signs and what it has signed."""

    key: ECKey

    @staticmethod
    def temporary() -> "Signer":
        """A key that ends with the process."""
        return Signer(_new_key())

    @staticmethod
    def ensure(directory: Path) -> "Signer":
        """The key in a data directory, made at the first start. Raises Invalid for a file that holds none."""
        path = directory / FILE
        create_private(path, _new_key().as_pem(private=True)) if not path.exists() else path.chmod(PRIVATE)
        try:
            key = ECKey.import_key(path.read_bytes(), {"use": "sig", "alg": ALGORITHM})
        except (ValueError, TypeError, JoseError) as error:
            message = f"{path} holds no key of this kind; remove it and start again. Tokens that it signed then end"
            raise Invalid(FILE, message) from error
        key.ensure_kid()
        return Signer(key)

    def sign(self, kind: str, claims: Claims, now: datetime, life: timedelta) -> str:
        """A token that begins now and ends after `life`."""
        moment = int(now.timestamp())
        times = {"iat": moment, "nbf": moment, "exp": moment + int(life.total_seconds())}
        header = {"alg": ALGORITHM, "typ": kind, "kid": self.key.kid}
        return jwt.encode(header, {**claims, **times, "jti": secrets.token_hex(8)}, self.key)

    def has_signed(self, text: str) -> bool:
        """Whether a token says that it was signed by this key. Only `read` checks it."""
        try:
            return len(text) <= LONGEST and jws.extract_compact(text.encode()).headers().get("kid") == self.key.kid
        except (JoseError, ValueError):
            return False

    def read(self, kind: str, text: str, now: datetime) -> Claims:
        """The claims of a token of that kind which this key has signed. Raises NotKnown."""
        if len(text) > LONGEST:
            raise NotKnown("the token is too long")
        try:
            token = jwt.decode(text, self.key, algorithms=[ALGORITHM])
        except (JoseError, ValueError) as error:
            raise NotKnown("the token's signature is not ours") from error
        if token.header.get("typ") != kind:
            raise NotKnown("the token is of another type")
        if not token.claims["nbf"] <= now.timestamp() < token.claims["exp"]:
            raise NotKnown("the token has expired, or has not begun")
        return token.claims

    def public(self) -> Mapping[str, Any]:
        """The public key as a JWK set (RFC 7517, 5)."""
        return {"keys": [self.key.as_dict(private=False)]}


def is_token(text: str) -> bool:
    """Whether a text has the form of a signed token (RFC 7515, 7.1): whoever signed it."""
    return text.count(".") == 2


def _new_key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
