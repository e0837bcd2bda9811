"""The page of all calls with all their fields, out of the OpenAPI description that the server gives."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from handbook.program import application
from handbook.tables import cell, table

HEAD = """# Every field of every call

Made from the server's OpenAPI description: `make reference` renews this page, and a test fails when it is old.
Which call does what, and which right it needs, is in [every call](api.md); what holds for all of them in
[the native API](native-api.md); refusals in [errors](errors.md). A running server shows the same at `/docs`, and as
`/openapi.json` for programs. `{name}` in a path is a part of it.
"""
_OBJECTS = "## Objects"
_METHODS = ("get", "put", "post", "delete")
_REFUSED = re.compile(r"[45]..|default")

Schema = Mapping[str, Any]


def page() -> str:
    """The page, as Markdown."""
    described = application().openapi()
    calls: dict[str, list[str]] = {}
    for path, methods in described["paths"].items():
        for method in _METHODS:
            if method in methods:
                calls.setdefault(methods[method]["tags"][0], []).append(_call(method, path, methods[method]))
    parts = [HEAD]
    for tag in sorted(calls, key=str.casefold):
        parts += [f"## Calls: {tag}\n", *calls[tag]]
    parts.append(f"{_OBJECTS}\n")
    parts += [_object(name, schema) for name, schema in sorted(described["components"]["schemas"].items())]
    return "\n".join(parts)


def _call(method: str, path: str, call: Schema) -> str:
    parts = [f"### {call['summary']}\n", f"`{method.upper()} {path}`\n"]
    if call.get("description"):
        parts.append(_prose(call["description"]))
    if parameters := call.get("parameters"):
        rows = [(f"`{each['name']}`", each["in"], *_about(each["schema"], each)) for each in parameters]
        parts.append(table(("field", "in", "type", "what it is"), rows))
    if body := _content(call.get("requestBody")):
        parts += [_said("Takes", body)]
    for status, answer in call["responses"].items():
        if not _REFUSED.fullmatch(status):
            content = _content(answer)
            parts.append(
                _said(f"{status}{_media(answer)}:", content) if content else _bare(status, answer["description"])
            )
    return "\n".join(parts)


def _bare(status: str, says: str) -> str:
    """An answer without a body. FastAPI has words of its own where nobody gave some."""
    return f"{status}.\n" if says == "Successful Response" else f"{status}: {says}\n"


def _media(answer: Schema) -> str:
    """The media types, where they are others than JSON."""
    others = sorted(answer["content"].keys() - {"application/json"})
    return f" ({', '.join(others)})" if others else ""


def _content(part: Schema | None) -> Schema | None:
    """The schema of what is sent, if it has one. `{}` says nothing."""
    for content in (part or {}).get("content", {}).values():
        schema: Schema = content.get("schema", {})
        return schema or None
    return None


def _said(what: str, schema: Schema) -> str:
    """One line, and the fields where they have no name of their own."""
    tables = [_field_table(list(_fields(each))) for each in schema.get("anyOf", [schema]) if "properties" in each]
    return "\n".join([f"{what} {_type(schema)}\n", *tables])


def _object(name: str, schema: Schema) -> str:
    parts = [f"### {_short(name)}\n"]
    if schema.get("description"):
        parts.append(_prose(schema["description"]))
    if "enum" in schema:
        parts.append(f"One of {', '.join(f'`{value}`' for value in schema['enum'])}.\n")
    elif rows := list(_fields(schema)):
        parts.append(_field_table(rows))
    return "\n".join(parts)


def _field_table(rows: list[tuple[str, str, str]]) -> str:
    return table(("field", "type", "what it is"), rows)


def _fields(schema: Schema, before: str = "") -> Iterator[tuple[str, str, str]]:
    """The fields of an object, and those of objects in it that have no name of their own."""
    for name, field in schema.get("properties", {}).items():
        needed = name in schema.get("required", ())
        about, text = _about(field, {**field, "required": needed})
        yield f"`{before}{name}`", about, text
        inner = field.get("items", field)
        yield from _fields(inner, f"{before}{name}{'[]' if inner is not field else ''}.")


def _about(schema: Schema, field: Schema) -> tuple[str, str]:
    """The type, and what there is to say of a field."""
    text = [_sentence(field.get("description", ""))]
    if not field.get("required") and "left out" not in text[0].casefold():
        default = schema.get("default")
        text.append("May be left out." if default in (None, "", [], {}) else f"Default `{_json(default)}`.")
    if examples := schema.get("examples"):
        text.append(f"For example `{_json(examples[0])}`.")
    return cell(_type(schema)), cell(" ".join(filter(None, text)))


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = _short(schema["$ref"].rpartition("/")[2])
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[several]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return f"{schema.get('format') or schema.get('type', 'anything')}{_bounds(schema)}"


def _bounds(schema: Schema) -> str:
    """What limits a number."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return ""
    return f", {_number(low)} to {_number(high)}" if high is not None else f", {_number(low)} or more"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


def _short(name: str) -> str:
    """An object's name as the page has it: `Listing_ShownGrant_` is a list; a long one says which module it is of."""
    if found := re.fullmatch(r"Listing_(\w+)_", name):
        return f"ListOf{found[1]}"
    module, _, last = name.rpartition("__")
    return f"{last}Of{module.rpartition('__')[2].capitalize()}" if module else name


def _prose(text: str) -> str:
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text.strip()) + "\n"


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "?", "!")) else f"{text}."
