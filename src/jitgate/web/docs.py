"""The description of the API as a page: plain HTML, no script, nothing from elsewhere.

The usual viewers are megabytes of script from a content delivery network. On a server that opens firewalls
nothing of that kind runs, so that the policy for browsers can forbid it altogether.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

Json = Mapping[str, Any]

_DEEPEST = 6
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h2 { margin-top: 3rem } section { border-top: 1px solid #d0d7de; padding: .5rem 0 1rem }
code { font: 14px/1.4 ui-monospace, monospace; overflow-wrap: anywhere } h3 code { font-weight: 600 }
ul { margin: .25rem 0; padding-left: 1.25rem } p, li { max-width: 50rem } small { color: #57606a }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; color: #e6edf3 } small { color: #8b949e } a { color: #79c0ff }
}
"""
_INTRODUCTION = (
    "<p>Send a personal token with every call: <code>Authorization: Bearer TOKEN</code>.</p>"
    '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>'
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


async def docs(request: Request) -> HTMLResponse:
    """The page."""
    app: FastAPI = request.app
    return HTMLResponse(page(app.openapi()), headers={"Content-Security-Policy": _POLICY})


def page(description: Json) -> str:
    """An OpenAPI description for people."""
    title = escape(f"{description['info']['title']} {description['info']['version']}")
    parts = "".join(_Page(description).parts())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{_INTRODUCTION}{parts}</body></html>"
    )


class _Page:
    """The parts of a page, in the order of the description."""

    def __init__(self, description: Json) -> None:
        self._description = description

    def parts(self) -> Iterator[str]:
        last = ""
        for path, methods in self._description["paths"].items():
            for method, operation in methods.items():
                tag = next(iter(operation.get("tags", ())), "")
                if tag != last:
                    yield f"<h2>{escape(tag)}</h2>"
                last = tag
                yield "".join(self._operation(method, path, operation))

    def _operation(self, method: str, path: str, operation: Json) -> Iterator[str]:
        yield f"<section><h3><code>{escape(method.upper())} {escape(path)}</code></h3>"
        yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p><ul>"
        for parameter in operation.get("parameters", ()):
            where = f"<small>{escape(parameter['in'])}</small>"
            yield self._item(parameter["name"], parameter["schema"], parameter.get("required", False), where, parameter)
        yield "</ul>"
        if "requestBody" in operation:
            yield f"<p><b>Body</b></p>{self._content(operation['requestBody'])}"
        for status, answer in operation.get("responses", {}).items():
            yield f"<p><b>{escape(status)}</b> {escape(answer.get('description', ''))}</p>"
            yield self._content(answer) if status.startswith("2") else ""
        yield "</section>"

    def _content(self, holder: Json) -> str:
        contents = holder.get("content", {}).values()
        return "".join(self._fields(content.get("schema", {}), _DEEPEST) for content in contents)

    def _fields(self, schema: Json, depth: int) -> str:
        """The properties of an object, also of one that stands in a list or among alternatives."""
        found = self._resolve(schema)
        inner = [found[name] for name in ("items", "additionalProperties") if isinstance(found.get(name), Mapping)]
        for other in [*inner, *found.get("anyOf", ()), *found.get("oneOf", ())]:
            if text := self._fields(other, depth):
                return text
        if not depth or "properties" not in found:
            return ""
        required = found.get("required", ())
        items = (
            self._item(name, field, name in required, self._fields(field, depth - 1), field)
            for name, field in found["properties"].items()
        )
        return f"<ul>{''.join(items)}</ul>"

    def _item(self, name: str, schema: Json, required: bool, more: str, said: Json) -> str:
        need = "" if required else ", optional"
        text = escape(said.get("description", ""))
        return f"<li><code>{escape(name)}</code> <small>{escape(self._kind(schema))}{need}</small> {text} {more}</li>"

    def _kind(self, schema: Json) -> str:
        found = self._resolve(schema)
        if "enum" in found:
            return " | ".join(str(value) for value in found["enum"])
        alternatives = [*found.get("anyOf", ()), *found.get("oneOf", ())]
        if alternatives:
            return " or ".join(dict.fromkeys(self._kind(one) for one in alternatives))
        kind = str(found.get("type", "anything"))
        return f"list of {self._kind(found.get('items', {}))}" if kind == "array" else kind

    def _resolve(self, schema: Json) -> Json:
        """What a reference stands for."""
        found: Any = schema
        while "$ref" in found:
            name = found["$ref"].rpartition("/")[2]
            found = self._description["components"]["schemas"][name]
        return found  # type: ignore[no-any-return]
