"""Styles and scripts: files of this server alone, at addresses that change with what is in them, kept for a year.

Ours are in ``static``. What others maintain is in ``static/fetched``: out of npm packages, put there by `tools/setup`
and when the wheel is built, and not committed. Pages work without any script; without these they say so.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from jitgate.core.errors import NotFound

PREFIX = "/static/"
PATH = "/static/{file}"
FETCHED = ("htmx.min.js", "sse.min.js", "uPlot.iife.min.js", "uPlot.min.css")
_STATIC = Path(__file__).parent / "static"
_FETCHED_IN = _STATIC / "fetched"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_A_YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Asset:
    address: str
    type: str
    plain: bytes
    packed: bytes


def address(name: str) -> str:
    """Where a file is served; "" if it was never fetched. Raises KeyError for what is none of ours."""
    found = _assets().get(name)
    if found is None and name not in FETCHED:
        raise KeyError(name)
    return found.address if found else ""


def missing() -> list[str]:
    """What was not fetched when this jitgate was set up or built."""
    return [name for name in FETCHED if not (_FETCHED_IN / name).is_file()]


async def serve(request: Request) -> Response:
    """A file, to whoever asks: nothing in it is secret, and the sign-in page needs it."""
    found = _by_address().get(request.url.path)
    if found is None:
        raise NotFound("There is no such file. Load the page again: it names the files that there are.")
    headers = {"Cache-Control": _FOR_A_YEAR, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(found.plain, 200, headers, found.type)
    return Response(found.packed, 200, {**headers, "Content-Encoding": "gzip"}, found.type)


@cache
def _assets() -> Mapping[str, _Asset]:
    """Read with the first page: a server that nobody looks at is the smaller for it."""
    files = [*_STATIC.iterdir(), *(_FETCHED_IN / name for name in FETCHED)]
    return {file.name: _asset(file) for file in files if file.is_file() and file.suffix in _TYPES}


@cache
def _by_address() -> Mapping[str, _Asset]:
    return {asset.address: asset for asset in _assets().values()}


def _asset(file: Path) -> _Asset:
    content = file.read_bytes()
    mark = hashlib.sha256(content).hexdigest()[:12]
    stem = file.name.removesuffix(file.suffix)
    return _Asset(f"{PREFIX}{stem}.{mark}{file.suffix}", _TYPES[file.suffix], content, gzip.compress(content, mtime=0))
