"""Carrying out what a form asks for, and saying what became of it where it was asked.

With scripts the page stays: what is live in it is brought up to date, or the words of a refusal stand below the form.
Without, the page is shown again and says the same.
"""

import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jitgate.core.errors import JitgateError
from jitgate.web.form import read_form
from jitgate.web.portal import flash
from jitgate.web.portal.flash import Flash
from jitgate.web.portal.pages import fragment, problems, status_of, wants_fragment
from jitgate.web.portal.session import own_path

T = TypeVar("T")


async def act(request: Request, work: Awaitable[T], *, at: str, then: str, said: str | Callable[[T], str]) -> Response:
    """Do something, and tell what became of it.

    `at`    the name of the form: a refusal is said there (the macro `form` has a place for it)
    `then`  the path of the page that it stands on, where the form does not name another of this server
    `said`  in words, when it is done; or what says it of what came of it
    """
    then = own_path((await read_form(request)).get("then", then))
    try:
        result = await work
    except JitgateError as error:
        return not_done(request, error, at=at, then=then)
    return done(request, then=then, said=said if isinstance(said, str) else said(result))


def done(request: Request, *, then: str, said: str) -> Response:
    """It is done."""
    if wants_fragment(request):
        return Response(status_code=204, headers={"HX-Trigger": json.dumps({"said": {"text": said}, "changed": {}})})
    return _back(then, Flash(said))


def not_done(request: Request, error: JitgateError, *, at: str, then: str) -> Response:
    """It was refused."""
    if not wants_fragment(request):
        return _back(then, Flash(" ".join(problems(error)), at))
    answer = fragment(request, "parts/problem.html", status_of(error), problems=problems(error))
    answer.headers["HX-Retarget"] = f"#problem-{at}"
    answer.headers["HX-Reswap"] = "innerHTML"
    answer.headers["HX-Reselect"] = "unset"
    return answer


def _back(then: str, said: Flash) -> Response:
    answer = RedirectResponse(then, 303)
    flash.say(answer, said)
    return answer
