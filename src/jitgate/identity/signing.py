"""jitgate's own short-lived tokens: signed with a key of its own, which is a file and never a row.

A token stands in for a credential for minutes. It says which one, and that is looked up on each use: what is revoked or
disabled stops counting at once, also where its token has not expired.

``typ`` tells tokens of several purposes apart, so that one can never be taken for another (RFC 8725, 3.11).
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from jitgate.core.errors import Invalid
from jitgate.identity.credentials import NotKnown
from jitgate.trust import succession
from jitgate.trust.files import PRIVATE, Replaceable, create_private
from jitgate.trust.succession import Entry, Succession

FILE = "signing.key"
ALGORITHM = "ES256"
LONGEST = 16 * 1024
"""Characters of a token that is looked at, ours or others'. Entra ID's with many groups come to some 8,000."""

ACCESS = "at+jwt"
"""An access token (RFC 9068)."""

ACCESS_LIFE = timedelta(minutes=15)

LONGEST_LIFE = timedelta(minutes=15)
"""What a key has signed is believed for so long after another has followed it."""

Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signer:
    """Keys, with what they sign and what they have signed. `keys`: as of now."""

    keys: Callable[[], Succession[ECKey]]

    @staticmethod
    def temporary() -> "Signer":
        """A key that ends with the process."""
        keys = Succession((Entry(_new_key()),))
        return Signer(lambda: keys)

    @staticmethod
    def ensure(directory: Path) -> "Signer":
        """The keys in a data directory, made at the first start. Raises Invalid for a file that holds none."""
        path = directory / FILE
        create_private(path, new_pem()) if not path.exists() else path.chmod(PRIVATE)
        try:
            return Signer(Replaceable(path, read_keys).now)
        except ValueError as error:
            message = f"{path} holds no key of this kind; remove it and start again. Tokens that it signed then end"
            raise Invalid(FILE, message) from error

    def sign(self, kind: str, claims: Claims, now: datetime, life: timedelta) -> str:
        """A token that begins now and ends after `life`, LONGEST_LIFE at most."""
        key = self.keys().current(now)
        moment = int(now.timestamp())
        times = {"iat": moment, "nbf": moment, "exp": moment + int(life.total_seconds())}
        header = {"alg": ALGORITHM, "typ": kind, "kid": key.kid}
        return jwt.encode(header, {**claims, **times, "jti": secrets.token_hex(8)}, key)

    def has_signed(self, text: str) -> bool:
        """Whether a token says that it was signed by one of these keys. Only `read` checks it."""
        try:
            named = len(text) <= LONGEST and jws.extract_compact(text.encode()).headers().get("kid")
        except (JoseError, ValueError):
            return False
        return any(entry.key.kid == named for entry in self.keys().entries)

    def read(self, kind: str, text: str, now: datetime) -> Claims:
        """The claims of a token of that kind which one of these keys has signed. Raises NotKnown."""
        if len(text) > LONGEST:
            raise NotKnown("the token is too long")
        try:
            believed = KeySet(list(self.keys().believed(now, LONGEST_LIFE)))
            token = jwt.decode(text, believed, algorithms=[ALGORITHM])
        except (JoseError, ValueError) as error:
            raise NotKnown("the token's signature is not ours") from error
        if token.header.get("typ") != kind:
            raise NotKnown("the token is of another type")
        if not token.claims["nbf"] <= now.timestamp() < token.claims["exp"]:
            raise NotKnown("the token has expired, or has not begun")
        return token.claims

    def public(self, now: datetime) -> Mapping[str, Any]:
        """The public keys as a JWK set (RFC 7517, 5): the next one is in it before it signs."""
        return {"keys": [key.as_dict(private=False) for key in self.keys().believed(now, LONGEST_LIFE)]}


def is_token(text: str) -> bool:
    """Whether a text has the form of a signed token (RFC 7515, 7.1): whoever signed it."""
    return text.count(".") == 2


def new_pem() -> bytes:
    """A new key, as it stands in the file."""
    return _new_key().as_pem(private=True)


def read_keys(content: bytes) -> Succession[ECKey]:
    """The keys in the file. Raises ValueError."""
    return succession.parse(content).map(_read_key)


def _read_key(pem: bytes) -> ECKey:
    try:
        key = ECKey.import_key(pem, {"use": "sig", "alg": ALGORITHM})
    except (TypeError, JoseError) as error:
        raise ValueError(str(error)) from error
    key.ensure_kid()
    return key


def _new_key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
