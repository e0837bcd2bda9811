"""Links that lead an approver to a request: ``jga_<request>_<signature>``.

A link is made for one request and one approver, and says nothing that could be changed without the installation's key.
It is no credential: whoever uses it has to sign in as well. It is worth nothing once that approver has decided, or the
request no longer waits, so it is good once, and no list of links has to be kept.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from jitgate.core.errors import Invalid
from jitgate.trust import succession
from jitgate.trust.files import Replaceable, create_private
from jitgate.trust.succession import Succession

LINK_KEY = "links.key"
LONGEST = 200
LIFE = timedelta(days=30)
"""A link is believed for so long after another key has followed the one that signed it."""

_KEY_BYTES = 32
_HEAD, _FOOT = b"-----BEGIN JITGATE LINK KEY-----", b"-----END JITGATE LINK KEY-----"
_LINK = re.compile(r"jga_(?P<request>[0-9a-f]{32})_(?P<signature>[A-Za-z0-9_-]{43})")


def make(key: bytes, request: str, approver: str) -> str:
    """The link of an approver (by uid) to a request (by uid)."""
    return f"jga_{request}_{_sign(key, request, approver)}"


def read(keys: Sequence[bytes], link: str, approver: str) -> str | None:
    """The request that a link leads this approver to; None for a link that is none, or somebody else's."""
    found = _LINK.fullmatch(link) if len(link) <= LONGEST else None
    if found is None:
        return None
    # All of them, whichever fits: it takes as long for one as for another.
    fits = [hmac.compare_digest(found["signature"], _sign(key, found["request"], approver)) for key in keys]
    return found["request"] if any(fits) else None


def ensure_keys(directory: Path) -> Replaceable[Succession[bytes]]:
    """The installation's keys for links, made at the first start. Raises Invalid for a damaged file."""
    path = directory / LINK_KEY
    create_private(path, new_pem())
    try:
        return Replaceable(path, read_keys)
    except ValueError as error:
        raise Invalid(LINK_KEY, f"{path}: {error}. Restore it from a backup, or from another replica") from error


def fingerprints(keys: Succession[bytes]) -> list[str]:
    """What tells each of an installation's keys from others'; it says nothing of the key."""
    return [hmac.new(entry.key, b"fingerprint", hashlib.sha256).hexdigest() for entry in keys.entries]


def new_pem() -> bytes:
    """A new key, as it stands in the file."""
    return _pem(secrets.token_bytes(_KEY_BYTES))


def as_pem(content: bytes) -> bytes:
    """The content of a file, also where it is one of the first form: the key, and nothing around it."""
    return _pem(content) if len(content) == _KEY_BYTES else content


def read_keys(content: bytes) -> Succession[bytes]:
    """The keys in the file. Raises ValueError."""
    return succession.parse(as_pem(content)).map(_key)


def _key(pem: bytes) -> bytes:
    head, *body, _ = pem.strip().split(b"\n")
    key = base64.b64decode(b"".join(body), validate=True)
    if head != _HEAD or len(key) != _KEY_BYTES:
        raise ValueError("this is no key for links")
    return key


def _pem(key: bytes) -> bytes:
    return b"\n".join([_HEAD, base64.b64encode(key), _FOOT, b""])


def _sign(key: bytes, request: str, approver: str) -> str:
    signature = hmac.new(key, f"approve\n{request}\n{approver}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
