"""Long lists in pages, as ARM clients follow them."""

import base64
import binascii
from urllib.parse import quote

from fastapi import Request

from jitgate.core.errors import Invalid
from jitgate.web.arm.routing import query
from jitgate.web.nul import check
from jitgate.web.sites import host_of

_NAME = "$skiptoken"
_KEPT = ("$filter", "$select")
_LONGEST = 4000


def next_link(request: Request, after: str) -> str:
    """The absolute address of the next page, at the host that the client called.

    The token stands by itself, but for what narrows the list: clients overwrite the version in this address with
    their own.
    """
    token = base64.urlsafe_b64encode(after.encode()).decode("ascii").rstrip("=")
    path, version = quote(request.scope["path"]), quote(query(request, "api-version"))
    kept = "".join(f"&{quote(name)}={quote(query(request, name), safe='')}" for name in _KEPT if query(request, name))
    return f"https://{host_of(request.scope)}{path}?api-version={version}{kept}&%24skiptoken={token}"


def skip_token(request: Request) -> str | None:
    """Where the page begins that a client asks for. Raises Invalid for what no `nextLink` has held."""
    token = query(request, _NAME)
    if not token:
        return None
    try:
        if len(token) > _LONGEST:
            raise ValueError
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        check(_NAME, text)
    except (ValueError, binascii.Error):
        raise Invalid(
            _NAME, "the token is not one of this server's", allowed="what nextLink holds, unchanged"
        ) from None
    return text
