"""Long tables as they go out: CSV that no spreadsheet runs, and JSON line by line; piece by piece, of any length."""

import io
import json
from collections.abc import AsyncIterator, Sequence
from csv import writer

from fastapi.responses import StreamingResponse

from jitgate.web.api.forms import Shown

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


async def stream(pieces: AsyncIterator[bytes], name: str) -> StreamingResponse:
    """A download. Its first piece is fetched before the answer begins, so that a refusal can still be one."""
    first = await anext(pieces, b"")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_all(first, pieces), media_type=_MEDIA[name.rpartition(".")[2]], headers=headers)


async def csv(row: type[Shown], pages: AsyncIterator[Sequence[Shown]]) -> AsyncIterator[bytes]:
    """Rows of one kind as CSV, with the names of their fields first."""
    first = await anext(pages, ())
    yield _written([[field.alias or name for name, field in row.model_fields.items()], *map(_cells, first)])
    async for page in pages:
        yield _written([_cells(one) for one in page])


async def jsonl(pages: AsyncIterator[Sequence[Shown]]) -> AsyncIterator[bytes]:
    """Rows as JSON, a line each."""
    async for page in pages:
        yield b"".join(one.model_dump_json(by_alias=True).encode() + b"\n" for one in page)


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
