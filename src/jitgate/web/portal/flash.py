"""What is said on the next page: the outcome of a form that was sent without scripts, in a cookie that is read once."""

import base64
import json
from dataclasses import asdict, dataclass

from starlette.responses import Response
from starlette.types import Scope

from jitgate.web.portal import session

COOKIE = "__Host-jitgate-said"
_LONGEST = 1500
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Flash:
    """Some words. `at`: the form that they are about, if it did not work; "" if it did."""

    text: str
    at: str = ""


def say(response: Response, flash: Flash) -> None:
    """Have the next page say it."""
    packed = json.dumps(asdict(Flash(flash.text[:_LONGEST], flash.at[:100]))).encode()
    session.set_cookie(response, COOKIE, base64.urlsafe_b64encode(packed).decode().rstrip("="), _SECONDS)


def read(scope: Scope) -> Flash | None:
    """What is to be said; None: nothing."""
    sent = session.cookie(scope, COOKIE)
    if not sent:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(sent + "=" * (-len(sent) % 4)))
        return Flash(str(found["text"]), str(found["at"]))
    except (ValueError, KeyError, TypeError):
        return None


def forget(response: Response) -> None:
    """It has been said."""
    session.drop_cookie(response, COOKIE)
