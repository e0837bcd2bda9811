"""Pages: Jinja2 templates, escaped always, under a policy that lets them run and load nothing but this server's own
files: no script in a page, none from elsewhere, no code made out of text."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from jitgate.core import prefixes
from jitgate.core.errors import JitgateError, Reason
from jitgate.service.base import Asker
from jitgate.web.dependencies import service_of
from jitgate.web.errors import error_response
from jitgate.web.portal import assets, filters, flash, nav
from jitgate.web.portal.session import cookie

_TEMPLATES = Path(__file__).parent / "templates"
if TYPE_CHECKING:
    from jinja2 import Environment

THEMES = ("light", "dark")
THEME_COOKIE = "__Host-jitgate-theme"
_TITLES = {401: "Not signed in", 403: "Not allowed", 404: "Not found", 429: "Too many attempts", 503: "Not now"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action "
)


def page(request: Request, template: str, status: int = 200, *, forms_to: str = "'self'", **values: Any) -> Response:
    """A page. `forms_to`: where its forms may lead, redirects included."""
    said = flash.read(request.scope)
    answer = _render(request, template, status, forms_to, {**values, "flash": said})
    if said is not None:
        flash.forget(answer)
    return answer


def fragment(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A part of a page, for scripts to put in its place."""
    return _render(request, template, status, "'self'", {**values, "flash": None})


def refused(request: Request, error: JitgateError) -> Response:
    """A refusal that belongs to no form, as a page."""
    onwire = error_response(error)
    title = _TITLES.get(onwire.status_code, "That did not work")
    answer = page(request, "refused.html", onwire.status_code, title=title, problems=problems(error))
    answer.headers.update({name: value for name, value in onwire.headers.items() if name == "retry-after"})
    return answer


def problems(error: JitgateError) -> Sequence[str]:
    """Every reason of a refusal in a sentence, without the field's name, which is for programs."""
    return list(dict.fromkeys(map(_sentence, error.reasons)))


def status_of(error: JitgateError) -> int:
    """The status that a refusal has on the wire."""
    return error_response(error).status_code


def wants_fragment(request: Request) -> bool:
    """Whether a script of ours asks, rather than the browser itself."""
    return request.headers.get("hx-request") == "true"


@cache
def environment() -> "Environment":
    """The templates. Made with the first page: a server that nobody looks at is the smaller for it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(filters.FILTERS)
    made.globals.update(asset=assets.address, missing_assets=assets.missing)
    # Each would take a page 20 to 200 ms when it is first shown: whoever comes to one page goes on to another.
    Thread(target=_load_all, args=(made,), name="jitgate-templates", daemon=True).start()
    return made


def _load_all(templates: "Environment") -> None:
    for name in templates.list_templates():
        templates.get_template(name)


def _render(request: Request, template: str, status: int, forms_to: str, values: dict[str, Any]) -> HTMLResponse:
    asker: Asker | None = request.scope["state"].get("asker")
    about = {
        "me": asker.principal if asker else None,
        "my_address": prefixes.text(asker.address) if asker and asker.address else "",
        "nav": nav.entries(asker.principal) if asker else (),
        "path": request.url.path,
        "here": str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
        "now": service_of(request).clock.wall(),
        "theme": _theme(request),
        "live_from": request.scope["state"].get("live_from"),
        "correlation": request.scope["state"].get("correlation", ""),
    }
    text = environment().get_template(template).render({**about, **values})
    return HTMLResponse(text, status, {"Content-Security-Policy": _POLICY + forms_to})


def _theme(request: Request) -> str:
    """What the viewer has chosen; "" for what their system says."""
    chosen = cookie(request.scope, THEME_COOKIE)
    return chosen if chosen in THEMES else ""


def _sentence(reason: Reason) -> str:
    said = reason.message[:1].upper() + reason.message[1:]
    ended = said if said.endswith((".", "!", "?")) else f"{said}."
    return f"{ended} Allowed: {reason.allowed}." if reason.allowed else ended
