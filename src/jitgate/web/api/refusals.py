"""What the native API answers when it says no, for its documentation. `jitgate.web.errors` writes these bodies."""

from typing import Any

from pydantic import Field

from jitgate.web.api.forms import Shown


class Problem(Shown):
    """Why: the failing field, and what would have been accepted."""

    code: str = Field(
        description="What kind of refusal it is, for programs. They are listed in the reference of errors."
    )
    message: str = Field(description="What was wrong, what is allowed and what to do, for people.")
    target: str | None = Field(
        default=None, description="The first failing field, as the caller wrote it. Left out: it is about no field."
    )
    details: list["Problem"] = Field(default=[], description="Each reason, with its field. Never nested deeper.")


class ProblemBody(Shown):
    """What every error answers."""

    error: Problem = Field(description="Why it was refused.")


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
