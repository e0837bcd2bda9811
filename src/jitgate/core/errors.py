"""Everything that jitgate refuses, as one family of errors.

::

    JitgateError
    ├── Invalid            the input is wrong: which field, what would do
    │   └── TooLarge       more than a limit allows
    ├── Unauthenticated    nobody known is asking
    ├── Forbidden          somebody known is asking, without the right
    ├── NotFound           there is no such thing, or it is not for the asker to know
    ├── Conflict           the thing has moved on meanwhile
    ├── Refused            the decision was no: the reasons say why
    ├── TooMany            the caller has tried too often: wait
    └── Unavailable        it cannot be done now: try again

Each is mapped to the wire once, in ``jitgate.web.errors``. A message says what was wrong, the allowed
value, and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was refused.

    `code` is stable and for programs; `field` is the path of the failing input, as the caller wrote it
    (``virtualMachines[0].ports[1].endTimeUtc``); `allowed` is what would have been accepted.
    """

    code: str
    field: str
    message: str
    allowed: str = ""

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        limit = f" Allowed: {self.allowed}." if self.allowed else ""
        return f"{where}{self.message}.{limit}"


class JitgateError(Exception):
    """Base of all that jitgate refuses."""

    code = "Error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def reasons(self) -> Sequence[Reason]:
        return (Reason(self.code, "", self.message),)


class Invalid(JitgateError):
    """The input is wrong."""

    code = "InvalidInput"

    def __init__(self, field: str, message: str, *, allowed: str = "", code: str = "") -> None:
        super().__init__(str(Reason(code or self.code, field, message, allowed)))
        self.code = code or type(self).code
        self.reason = Reason(self.code, field, message, allowed)

    @property
    def reasons(self) -> Sequence[Reason]:
        return (self.reason,)


class TooLarge(Invalid):
    """More than a limit allows."""

    code = "RequestTooLarge"


class Unauthenticated(JitgateError):
    """Nobody known is asking."""

    code = "AuthenticationFailed"


class Forbidden(JitgateError):
    """Somebody known is asking, without the right."""

    code = "AuthorizationFailed"

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code or type(self).code


class NotFound(JitgateError):
    """There is no such thing."""

    code = "ResourceNotFound"

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code or type(self).code


class Conflict(JitgateError):
    """The thing has moved on meanwhile."""

    code = "Conflict"

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code or type(self).code


class Refused(JitgateError):
    """The decision was no."""

    code = "RequestRefused"

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__(" ".join(str(reason) for reason in reasons))
        self._reasons = tuple(reasons)

    @property
    def reasons(self) -> Sequence[Reason]:
        return self._reasons


class TooMany(JitgateError):
    """The caller has tried too often. `wait`: seconds until the next try."""

    code = "TooManyRequests"

    def __init__(self, wait: float) -> None:
        self.wait = max(1, ceil(wait))
        super().__init__(f"Too many attempts to sign in from here. Try again in {self.wait} seconds.")


class Unavailable(JitgateError):
    """It cannot be done now."""

    code = "ServiceUnavailable"
