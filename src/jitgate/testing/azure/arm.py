"""Azure Resource Manager, faked: one call after the other, each a function of what there is."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable

from jitgate.clock import Clock
from jitgate.testing.azure import access, graph, reading, writing
from jitgate.testing.azure.calls import Call, Calls, Fault
from jitgate.testing.azure.messages import (
    Refusal,
    Request,
    Response,
    another_operation,
    bad,
    etag_mismatch,
    in_progress,
    throttled,
)
from jitgate.testing.azure.paths import Path, parse
from jitgate.testing.azure.throttle import Throttle
from jitgate.testing.azure.world import World

_METHODS = {"GET", "HEAD", "PUT", "DELETE", "POST"}
_POLLED = (["locations", "operations"], ["locations", "operationresults"])
_ADMIN_RULES = "listnetworkmanagereffectivesecurityadminrules"
LATE_SECONDS = 20.0
"""How much later a call is carried out whose client has gone: `Fault.LATE`."""


class Dropped(Exception):
    """The connection ends without an answer."""


class Arm:
    """The fake. `world` is what it holds, `calls` what it was asked; `throttle` None: without budgets.

    `after`: what is done after each call, before it is answered, such as putting what changed in force.

    Safe to call from several threads: one call at a time.
    """

    def __init__(self, clock: Clock, *, throttle: Throttle | None = None) -> None:
        self.world = World(clock)
        self.calls = Calls()
        self.throttle = throttle
        self.after: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._late: deque[tuple[float, Request, Path]] = deque()

    def handle(self, request: Request) -> Response:
        """Answer a call. Raises Dropped where a fault says that no answer comes."""
        with self._lock:
            self.world.settle()
            self._catch_up()
            try:
                path = parse(request.path)
                call, fault = self.calls.begin(request.method, path.types[-1] if path.types else "", path.text)
                return self._answer(request, path, call, fault)
            except Refusal as refused:
                return refused.response
            finally:
                self.after()

    def _answer(self, request: Request, path: Path, call: Call, fault: Fault | None) -> Response:
        _go_wrong(fault, path)
        if fault is Fault.LATE:
            self._late.append((self.world.clock.elapsed() + LATE_SECONDS, request, path))
            raise Dropped(f"call {call.number}")
        left = self._check(request, path)
        answer = self._do(request, path, fault)
        if fault is Fault.LOSE:
            raise Dropped(f"call {call.number}")
        return Response(answer.status, answer.body, {**left, **answer.headers})

    def _catch_up(self) -> None:
        """Carry out what is late, if it may be done still."""
        while self._late and self._late[0][0] <= self.world.clock.elapsed():
            _, request, path = self._late.popleft()
            with contextlib.suppress(Refusal):
                self._check(request, path)
                self._do(request, path, None)
                self.world.settle()

    def _check(self, request: Request, path: Path) -> dict[str, str]:
        """Raise Refusal unless the call may be made; returns headers that tell what is left of the budget."""
        access.sign_in(request.headers)
        if "api-version" not in request.query:
            raise bad("MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required.")
        if request.method not in _METHODS:
            raise Refusal(405, "MethodNotAllowed", f"The fake takes no {request.method}.")
        # Looking at operations costs nothing.
        is_polling = [each.lower() for each in path.types[:2]] in _POLLED
        left = {}
        if self.throttle and path.subscription and not is_polling:
            left = self.throttle.take(request.method, path.subscription, path.namespace)
        if path.namespace and not is_polling and path.types[0].lower() != "permissions":
            access.check(self.world.permissions, request.method, path)
        self.world.check_place(path)
        return left

    def _do(self, request: Request, path: Path, fault: Fault | None) -> Response:
        if request.method in ("GET", "HEAD"):
            return reading.answer(self.world, request, path)
        if path.full_kind == graph.KIND:
            return graph.answer(self.world, request)
        if not path.names or (path.is_collection and request.method != "POST"):
            raise Refusal(405, "MethodNotAllowed", f"{path.text} takes no {request.method}.")
        if request.method == "PUT":
            return writing.put(self.world, request, path, fault)
        if request.method == "DELETE":
            return writing.delete(self.world, request, path, fault)
        return self._post(path)

    def _post(self, path: Path) -> Response:
        if path.types[-1].lower() == _ADMIN_RULES:
            return Response(200, {"value": list(self.world.admin_rules.get(path.top.lower(), ()))})
        raise Refusal(404, "InvalidResourceType", f"The fake has no {path.full_kind}.")


def _go_wrong(fault: Fault | None, path: Path) -> None:
    """Raise what goes wrong before anything is done."""
    if fault is Fault.DROP:
        raise Dropped(path.text)
    if fault is Fault.REFUSE:
        raise Refusal(500, "InternalServerError", "The server encountered an internal error.")
    if fault is Fault.THROTTLE:
        raise throttled("write", path.subscription, 2)
    if fault is Fault.BUSY:
        raise another_operation(path.text)
    if fault is Fault.CONFLICT:
        raise in_progress(path.text)
    if fault is Fault.OUTDATED:
        raise etag_mismatch("of before", "of now", path.text)
