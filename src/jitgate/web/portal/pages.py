"""Pages: Jinja2 templates, escaped always, under a policy that lets them run and load nothing but their own."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

_TEMPLATES = Path(__file__).parent / "templates"
if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _environment() -> "Environment":
    """Loaded with the first page: a server that nobody looks at is the smaller for it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(file: str) -> str:
    return (_TEMPLATES / file).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


STYLE, SCRIPT = _source("portal.css"), _source("link.js")
_POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; frame-ancestors 'none'; "
    "base-uri 'none'; form-action "
)


def page(template: str, status: int = 200, *, forms_to: str = "'self'", **values: Any) -> HTMLResponse:
    """A page. `forms_to`: where its forms may lead, redirects included."""
    text = _environment().get_template(template).render(style=STYLE, script=SCRIPT, **values)
    return HTMLResponse(text, status, {"Content-Security-Policy": _POLICY + forms_to})
