"""What the native API answers when it says no, for its documentation. `jitgate.web.errors` writes these bodies."""

from typing import Any

from pydantic import Field

from jitgate.web.api.forms import Shown


class Problem(Shown):
    """Why: the failing field, and what would have been accepted."""

    code: str
    message: str
    target: str | None = None
    details: list["Problem"] = Field(default=[])


class ProblemBody(Shown):
    """What every error answers."""

    error: Problem


def _refusal(description: str) -> dict[str, Any]:
    return {"model": ProblemBody, "description": description}


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: _refusal("The input is wrong, or the decision was no: the details name each field and what is allowed."),
    401: _refusal("Nobody known is asking."),
    403: _refusal("The right is missing."),
    404: _refusal("There is no such thing."),
    409: _refusal("The thing has moved on meanwhile."),
    413: _refusal("The body is too large."),
    503: _refusal("It cannot be done now: try again."),
}
