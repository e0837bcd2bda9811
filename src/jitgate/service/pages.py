"""Where a page of a list in time ended, as a text that its reader hands back."""

from datetime import datetime

from jitgate.core.errors import Invalid


def write_token(at: datetime, uid: str) -> str:
    """The end of a page: the last item's time and id."""
    return f"{at.isoformat()}_{uid}"


def read_token(after: str | None) -> tuple[datetime, str] | None:
    """The same out of what was handed back; None for the first page. Raises Invalid."""
    if after is None:
        return None
    at, _, uid = after.partition("_")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Invalid("after", "this page was never given out", allowed="the value that the last page ended with")
    return moment, uid
