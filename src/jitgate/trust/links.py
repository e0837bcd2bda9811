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
from pathlib import Path

from jitgate.trust.files import create_private

LINK_KEY = "links.key"
LONGEST = 200
_KEY_BYTES = 32
_LINK = re.compile(r"jga_(?P<request>[0-9a-f]{32})_(?P<signature>[A-Za-z0-9_-]{43})")


def make(key: bytes, request: str, approver: str) -> str:
    """The link of an approver (by uid) to a request (by uid)."""
    return f"jga_{request}_{_sign(key, request, approver)}"


def read(key: bytes, link: str, approver: str) -> str | None:
    """The request that a link leads this approver to; None for a link that is none, or somebody else's."""
    found = _LINK.fullmatch(link) if len(link) <= LONGEST else None
    if found is None or not key:
        return None
    wanted = _sign(key, found["request"], approver)
    return found["request"] if hmac.compare_digest(found["signature"], wanted) else None


def ensure_key(directory: Path) -> bytes:
    """The installation's key for links, made at the first start."""
    path = directory / LINK_KEY
    create_private(path, secrets.token_bytes(_KEY_BYTES))
    return path.read_bytes()


def _sign(key: bytes, request: str, approver: str) -> str:
    signature = hmac.new(key, f"approve\n{request}\n{approver}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
