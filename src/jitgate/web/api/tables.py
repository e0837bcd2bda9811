"""Long tables as they go out: CSV that no spreadsheet runs, and JSON line by line; piece by piece, of any length."""

import io
import json
from collections.abc import AsyncIterator, Sequence
from csv import writer
from typing import Any

from fastapi.responses import StreamingResponse

from jitgate.web.api.forms import Shown

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


def described(row: type[Shown], *others: type[Shown], lines: bool = True) -> dict[int | str, dict[str, Any]]:
    """What a download holds, for the description: its rows, as CSV with these columns, and as `lines` of JSON."""
    rows = [_whole(one) for one in (row, *others)]
    schema = rows[0] if len(rows) == 1 else {"anyOf": rows}
    media = ["text/csv", "application/x-ndjson"] if lines else ["text/csv"]
    return {200: {"description": "A row a line.", "content": {kind: {"schema": schema} for kind in media}}}


async def stream(pieces: AsyncIterator[bytes], name: str) -> StreamingResponse:
    """A download. Its first piece is fetched before the answer begins, so that a refusal can still be one."""
    first = await anext(pieces, b"")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_all(first, pieces), media_type=_MEDIA[name.rpartition(".")[2]], headers=headers)


async def csv(row: type[Shown], pages: AsyncIterator[Sequence[Shown]]) -> AsyncIterator[bytes]:
    """Rows of one kind as CSV, with the names of their fields first."""
    # No tuple by default: CPython 3.11 and 3.12 take it for the arguments of an exception (gh-128078).
    first: Sequence[Shown] = await anext(pages, [])
    yield _written([[field.alias or name for name, field in row.model_fields.items()], *map(_cells, first)])
    async for page in pages:
        yield _written([_cells(one) for one in page])


async def jsonl(pages: AsyncIterator[Sequence[Shown]]) -> AsyncIterator[bytes]:
    """Rows as JSON, a line each."""
    async for page in pages:
        yield b"".join(one.model_dump_json(by_alias=True).encode() + b"\n" for one in page)


def _whole(row: type[Shown]) -> Any:
    """The schema of a row, with what it holds in its place."""
    schema = row.model_json_schema(by_alias=True, mode="serialization")
    parts = schema.pop("$defs", {})

    def put_in(part: Any) -> Any:
        if isinstance(part, list):
            return [put_in(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return put_in({**parts[part["$ref"].rpartition("/")[2]], **{k: v for k, v in part.items() if k != "$ref"}})
        return {name: put_in(each) for name, each in part.items()}

    return put_in(schema)


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _written(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer(text).writerows(rows)
    return text.getvalue().encode()


def _cells(row: Shown) -> list[str]:
    return [_cell(value) for value in row.model_dump(mode="json").values()]


def _cell(value: object) -> str:
    """A value for a spreadsheet. What would be run as a formula there is made a text."""
    if value is None:
        return ""
    text = (
        json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, dict | list) else str(value)
    )
    return f"'{text}" if text.startswith(_FORMULA) else text
