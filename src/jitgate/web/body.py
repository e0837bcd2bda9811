"""Bodies: JSON without the things that JSON leaves open.

Python's parser takes NaN, two values for one name (the last wins), half of a surrogate pair, and nesting until
its stack ends. Each is a way to let two readers of one text see different things, so each is refused.
"""

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from jitgate.core.errors import Invalid

_FIELD = "body"
_EXPECTED = "one JSON object"


def parse(body: bytes, *, fold_names: bool = False) -> Any:
    """Read a body. `fold_names`: names are compared without case, so all are returned in lower case.

    Raises Invalid.
    """
    decoder = _folding_decoder if fold_names else _decoder
    try:
        text = body.decode("utf-8-sig")
        value = decoder.decode(text)
    except UnicodeDecodeError:
        raise Invalid(_FIELD, "the body is not UTF-8", allowed=_EXPECTED) from None
    except RecursionError:
        raise Invalid(_FIELD, "the body is nested too deeply", allowed=_EXPECTED) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Invalid(_FIELD, f"the body is not JSON ({error.msg}, {where})", allowed=_EXPECTED) from None
    except ValueError as error:
        # A whole number with more digits than Python turns into one.
        raise Invalid(_FIELD, "the body holds a number that is too long", allowed=_EXPECTED) from error
    if "\\u" in text:
        _check_texts(value)
    return value


class StrictRoute(APIRoute):
    """A route whose body is read as above, before the framework compares it with the endpoint's types."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            return parse(body)
        except Invalid as error:
            # The framework lets its own exceptions through here, and hides all others.
            raise HTTPException(400) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse_repeats([name for name, _ in pairs])
    return found


def _folded_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return _object([(name.lower(), value) for name, value in pairs])


def _refuse_repeats(names: list[str]) -> None:
    # Not by counting each: the tens of thousands that a body holds would keep everybody waiting for a minute.
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Invalid(name[:100], "the name stands twice in one object", allowed="each name once")
        seen.add(name)


def _refuse_constant(text: str) -> None:
    raise Invalid(_FIELD, f"{text} is not JSON", allowed="finite numbers")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Invalid(_FIELD, f"the number {text[:40]} is too large", allowed="finite numbers")
    return number


def _check_texts(value: Any) -> None:
    """Refuse what an escape can smuggle into a text: half of a surrogate pair, which no other encoding can
    hold, and NUL, at which others stop reading."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            left.extend(item.keys())
            left.extend(item.values())


def _check_text(text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Invalid(_FIELD, "a text holds NUL or half of a surrogate pair", allowed="Unicode text")


_decoder, _folding_decoder = (
    json.JSONDecoder(object_pairs_hook=pairs, parse_constant=_refuse_constant, parse_float=_number)
    for pairs in (_object, _folded_object)
)
