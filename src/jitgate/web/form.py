"""Forms: ``application/x-www-form-urlencoded``, each field once (RFC 6749, 3.2)."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request

from jitgate.core.errors import Invalid
from jitgate.web.nul import check

MOST_FIELDS = 30
LONGEST_FORM = 64 * 1024
FORM = "application/x-www-form-urlencoded"


async def read_form(request: Request, most: int = MOST_FIELDS) -> Mapping[str, str]:
    """The fields of a form, at most so many. Raises Invalid."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Invalid("Content-Type", "this is not a form", allowed=FORM)
    body = await request.body()
    try:
        if len(body) > LONGEST_FORM:
            raise ValueError
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=most, errors="strict")
    except ValueError:
        raise Invalid("body", "this is not a form", allowed=f"UTF-8, at most {most} fields") from None
    for name, value in pairs:
        check("form", name + value)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Invalid("body", "a field stands twice", allowed="each field once")
    return fields
