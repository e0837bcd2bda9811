"""Where the server is, who is asking, and how the server proves itself.

From JITGATE_URL, JITGATE_TOKEN and JITGATE_CA; from what `jitgate login` has kept; or from what `jitgate serve` left in
its data directory. A token goes only to the server that it belongs to: the one in a data directory never goes to the
one in JITGATE_URL.
"""

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from jitgate.cli.exits import NotAllowed, Unreachable, Usage

SERVER_FILE, TOKEN_FILE, CA_FILE = "server.json", "owner.token", "ca.pem"
SYSTEM_DIR = Path("/var/lib/jitgate")


@dataclass(frozen=True, slots=True)
class Place:
    """`ca`: the certificate authority to trust, in place of the system's. The token is never shown."""

    url: str
    token: str = field(repr=False)
    ca: Path | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


def find_place(data_dir: Path | None, environ: Mapping[str, str]) -> Place:
    """The server that the environment or a data directory names.

    `data_dir`  named on the command line; it goes before the environment
    Raises Usage, NotAllowed and Unreachable.
    """
    if data_dir is None and environ.get("JITGATE_URL"):
        return _from_environment(environ)
    if data_dir is None and not environ.get("JITGATE_DATA_DIR") and (login := read_kept(environ)) is not None:
        return login
    return _from_directory(_find_directory(data_dir, environ), environ)


def kept_file(environ: Mapping[str, str]) -> Path:
    """Where `jitgate login` keeps what it got."""
    below = environ.get("XDG_CONFIG_HOME")
    return (Path(below) if below else Path.home() / ".config") / "jitgate" / "login.json"


def read_kept(environ: Mapping[str, str]) -> Place | None:
    """What `jitgate login` has kept; None if nothing is. Raises NotAllowed for what cannot be read, or others can."""
    file = kept_file(environ)
    try:
        if file.stat().st_mode & 0o077:
            raise NotAllowed(f"{file} can be read by others. Run `jitgate login` again, and revoke the old token.")
        kept = json.loads(file.read_text("utf-8"))
        return Place(check_url(kept["url"]), check_token(kept["token"]), Path(kept["ca"]) if kept["ca"] else None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAllowed(f"{file} does not hold a login ({error}). Run `jitgate login` again.") from None


def check_url(url: str) -> str:
    """A URL that a token may be sent to: https, or http to this very machine. Raises Usage."""
    parts = urlsplit(url)
    allowed = "JITGATE_URL is https://HOST[:PORT], as `jitgate serve` prints it."
    if parts.scheme not in ("https", "http") or not parts.hostname or not _has_port(parts):
        raise Usage(f"{url!r} is not the URL of a server. {allowed}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Usage(f"The server's URL holds more than a host and a path. {allowed} The token goes into JITGATE_TOKEN.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise Usage(f"{url} would send the token in the clear. {allowed}")
    return url.rstrip("/")


def check_token(text: str) -> str:
    """A token as it can be sent. Raises NotAllowed, without showing it."""
    token = text.strip()
    if not token or not all("!" <= character <= "~" for character in token):
        raise NotAllowed(
            "The token is empty, or holds what no token holds. Put your personal token into JITGATE_TOKEN."
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _from_environment(environ: Mapping[str, str]) -> Place:
    token = environ.get("JITGATE_TOKEN", "")
    if not token:
        raise NotAllowed("JITGATE_URL is set and JITGATE_TOKEN is not. Put your personal token into JITGATE_TOKEN.")
    ca = environ.get("JITGATE_CA")
    return Place(check_url(environ["JITGATE_URL"]), check_token(token), Path(ca) if ca else None)


def _from_directory(directory: Path, environ: Mapping[str, str]) -> Place:
    url = _url(directory / SERVER_FILE)
    # A token beside a JITGATE_URL belongs to that URL, not to this directory.
    own = "" if environ.get("JITGATE_URL") else environ.get("JITGATE_TOKEN", "")
    ca = directory / CA_FILE
    return Place(check_url(url), check_token(own or _token(directory / TOKEN_FILE)), ca if ca.exists() else None)


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _find_directory(named: Path | None, environ: Mapping[str, str]) -> Path:
    looked_at = list(data_directories(named, environ))
    for directory in looked_at:
        if _holds_server(directory):
            return directory
    raise Unreachable(
        f"No server is known: there is no {SERVER_FILE} that you may read in {' or '.join(map(str, looked_at))}. "
        "Start one with `jitgate serve`, or set JITGATE_URL, JITGATE_TOKEN and JITGATE_CA."
    )


def data_directories(named: Path | None, environ: Mapping[str, str]) -> Iterator[Path]:
    """Where the server on this machine may keep its data."""
    if named is not None:
        yield named
        return
    if environ.get("JITGATE_DATA_DIR"):
        yield Path(environ["JITGATE_DATA_DIR"])
        return
    yield SYSTEM_DIR
    yield Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "jitgate"


def _holds_server(directory: Path) -> bool:
    try:
        return (directory / SERVER_FILE).exists()
    except PermissionError:
        return False


def _url(file: Path) -> str:
    try:
        url = json.loads(file.read_text(encoding="utf-8"))["url"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"{file} does not tell where the server is ({error}). Start `jitgate serve` again.") from None
    return str(url)


def _token(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise NotAllowed(
            f"{file} cannot be read ({error.strerror}). Run this as the user that runs the server, "
            "or put your personal token into JITGATE_TOKEN."
        ) from None
