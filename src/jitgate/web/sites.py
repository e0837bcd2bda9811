"""Whose pages may talk to this server: its own, and nobody else's.

A browser that was lured elsewhere still reaches this server. A name that an attacker's DNS now points here
shows in `Host`; a page of another site shows in `Origin` and `Sec-Fetch-Site`. Programs send neither of the
latter, and the right host.
"""

from collections.abc import Collection

from starlette.types import Scope

from jitgate.core.errors import Forbidden, Invalid

_OWN_SITE = {b"same-origin", b"none"}


def host_of(scope: Scope) -> str:
    """The host and port that the client meant to reach; "" if it said none, or several."""
    hosts = _values(scope, b"host")
    return hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""


def check_host(scope: Scope, allowed: Collection[str]) -> None:
    """Refuse a call that was meant for another host. `allowed`: names and addresses, lower case, no ports.

    Raises Invalid.
    """
    host = host_of(scope)
    if _without_port(host) not in allowed:
        would_do = "a name or address that this server was started with"
        raise Invalid("Host", f"this server is not known as {host[:100]!r}", allowed=would_do, code="InvalidHost")


def check_site(scope: Scope, *, is_page: bool = False) -> None:
    """Refuse a call that a page of another site has made. `is_page`: somebody may come to it by a link from elsewhere,
    as back from an identity provider; it is then only shown, and changes nothing. Raises Forbidden.
    """
    comes_by_link = is_page and scope["method"] == "GET" and _values(scope, b"sec-fetch-mode") == [b"navigate"]
    from_elsewhere = not all(_is_own(scope, origin) for origin in _values(scope, b"origin")) or any(
        site not in _OWN_SITE and not comes_by_link for site in _values(scope, b"sec-fetch-site")
    )
    if from_elsewhere:
        raise Forbidden(
            "Calls from pages of other sites are refused. Call from a program, or from a page of this server."
        )


def navigates(scope: Scope) -> bool:
    """Whether a person's browser goes to a page, rather than a program or a script calling (Fetch Metadata, 2.2)."""
    accepts = b",".join(_values(scope, b"accept"))
    is_program = bool(_values(scope, b"authorization"))
    return _values(scope, b"sec-fetch-mode") == [b"navigate"] and b"text/html" in accepts and not is_program


def check_own_page(scope: Scope) -> None:
    """Refuse a form that no page of this server has sent. Browsers say where a form comes from. Raises Forbidden."""
    if [_is_own(scope, origin) for origin in _values(scope, b"origin")] != [True]:
        raise Forbidden("This form is taken from this server's own pages only. Open the page and try again.")


def _is_own(scope: Scope, origin: bytes) -> bool:
    """Whether an origin is this server's. Where pages tell nobody where they are (``Referrer-Policy: no-referrer``), a
    form of theirs comes from ``null``, as one of a page without any origin does; the browser's word tells these apart
    (Fetch, "append a request Origin header"; Fetch Metadata, 2.4)."""
    if origin == b"null":
        return _values(scope, b"sec-fetch-site") == [b"same-origin"]
    return origin.lower() == f"https://{host_of(scope)}".encode("latin-1")


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _without_port(host: str) -> str:
    """``[::1]:8443`` → ``::1``; ``localhost:8443`` → ``localhost``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
