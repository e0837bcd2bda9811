"""Personal tokens: ``jg_<id>_<secret>``.

The id is public and finds the row; the secret is 256 random bits. With that much chance in it a secret cannot
be guessed, so a plain SHA-256 keeps it: a slow hash would guard against guessing only, and cost every request.
The prefix lets scanners for leaked secrets know a token when they see one.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

PREFIX = "jg"
LONGEST = 200
_SECRET_BYTES = 32
_ID_BYTES = 8
_TOKEN = re.compile(rf"{PREFIX}_(?P<id>[0-9a-f]{{{2 * _ID_BYTES}}})_(?P<secret>[A-Za-z0-9_-]{{43}})")


# Wherever one stands, and however much of it.
_SECRET = re.compile(rf"({PREFIX}_[0-9a-f]{{{2 * _ID_BYTES}}}_)[A-Za-z0-9_-]+")
_SIGNED = re.compile(r"(eyJ[A-Za-z0-9_-]{5})[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Token:
    """A token in the clear, as its holder knows it. `secret` stays out of every printed form."""

    id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """What the holder sends."""
        return f"{PREFIX}_{self.id}_{self.secret}"

    @property
    def digest(self) -> str:
        """What is stored."""
        return digest(self.secret)


def make() -> Token:
    """A new token, from the system's source of chance."""
    return Token(secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES))


def parse(text: str) -> Token | None:
    """A token as it was sent; None for what cannot be one."""
    found = _TOKEN.fullmatch(text) if len(text) <= LONGEST else None
    return None if found is None else Token(found["id"], found["secret"])


def masked(text: str) -> str:
    """A text for a log, without the secrets that somebody may have put where they do not belong.

    Tokens of ours keep their id, by which they can be revoked; signed tokens of anybody lose all but their beginning.
    """
    return _SIGNED.sub(r"\1…", _SECRET.sub(r"\1…", text))


def digest(secret: str) -> str:
    """The hash of a secret, with the name of the method so that another can follow."""
    return "sha256:" + hashlib.sha256(secret.encode("ascii")).hexdigest()


def matches(secret: str, stored: str) -> bool:
    """Whether a secret is the stored one; takes as long for a near miss as for any other."""
    return hmac.compare_digest(digest(secret), stored)


NO_TOKEN = digest("")
"""What to compare with where no token is stored, so that an unknown id takes as long as a wrong secret."""
