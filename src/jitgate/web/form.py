"""Forms: ``application/x-www-form-urlencoded``, each field once (RFC 6749, 3.2)."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request

from jitgate.core.errors import Invalid

MOST_FIELDS = 30
LONGEST_FORM = 64 * 1024
_TYPE = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form. Raises Invalid."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise Invalid("Content-Type", "this is not a form", allowed=_TYPE)
    body = await request.body()
    try:
        if len(body) > LONGEST_FORM:
            raise ValueError
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Invalid("body", "this is not a form", allowed=f"UTF-8, at most {MOST_FIELDS} fields") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Invalid("body", "a field stands twice", allowed="each field once")
    return fields
