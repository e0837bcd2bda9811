"""What approvers make of the time that was asked for: less of it, never more."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from jitgate.core.access import Span
from jitgate.core.duration import Duration, describe
from jitgate.core.errors import Invalid

LEAST = timedelta(minutes=1)


def shorten(asked: Sequence[Span], most: Duration, begins: datetime) -> list[Span]:
    """Each span, or what is left of it where it is longer than `most`, for access that begins at a moment.

    What was asked for by its length keeps counting from its opening; an absolute end comes nearer. Raises Invalid for
    less than a minute, and for more than was asked for.
    """
    longest = max(span.end_from(begins) - begins for span in asked)
    if not LEAST <= most.length <= longest:
        raise Invalid(
            "duration",
            f"{describe(most.length)} is not less than was asked for",
            allowed=f"{describe(LEAST)} to {describe(longest)}; who wants more has to ask again",
        )
    return [_cut(span, most, begins) for span in asked]


def _cut(span: Span, most: Duration, begins: datetime) -> Span:
    if span.end_from(begins) - begins <= most.length:
        return span
    return Span(duration=most) if span.duration is not None else Span(end=begins + most.length)
