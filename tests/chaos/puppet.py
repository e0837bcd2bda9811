"""One of jitgate's processes on strings: ``python -m tests.chaos.puppet MODULE ARGUMENTS…``.

It is what it always is, but for its wall clock and its failpoints, which hang on the strings, and its patience: what
takes half a minute in service takes seconds here, so that a story of seconds gets past it.
"""

import asyncio
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.chaos.strings import VARIABLE, Strings

from jitgate import clock, failpoints

ROOT = Path(__file__).parents[2]
LEASE, SWEEP = timedelta(seconds=3), timedelta(seconds=4)
LISTING_SECONDS = 1.0
"""How old what was listed of a cloud may be in a sweep."""
_PATIENCE_SECONDS = 2.5
"""With a firewall: nearly as long as a lease, so that a pass ends on a machine that does much else besides."""
_HOLD_SECONDS = 4.0


def command(module: str, *arguments: str) -> list[str]:
    """What starts a process so, where `environment` holds."""
    return [sys.executable, "-m", "tests.chaos.puppet", module, *arguments]


def environment(strings: Strings) -> dict[str, str]:
    """What a process has to be told."""
    return {VARIABLE: str(strings.path), "PYTHONPATH": str(ROOT)}


def run() -> None:
    """The command."""
    module, *arguments = sys.argv[1:]
    strings = Strings(Path(os.environ[VARIABLE]))
    _hang_clock(strings)
    failpoints._armed, failpoints._reached = True, strings.reached
    _HURRIED[module]()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _hang_clock(strings: Strings) -> None:
    true_time = clock.SystemClock.wall

    def wall(self: clock.SystemClock) -> datetime:
        return true_time(self) + timedelta(seconds=strings.clock_is_off)

    clock.SystemClock.wall = wall  # type: ignore[method-assign]


def _supervisor() -> None:
    """Whom it starts hangs on the same strings."""
    from jitgate.ops.supervisor import Supervisor

    spawn = Supervisor._spawn

    def spawn_puppet(self: Supervisor, arguments: Sequence[str], *others: object) -> object:
        assert arguments[0] == "-m"
        return spawn(self, ["-m", "tests.chaos.puppet", *arguments[1:]], *others)  # type: ignore[arg-type]

    Supervisor._spawn = spawn_puppet  # type: ignore[method-assign,assignment]
    _agent()


def _server() -> None:
    from jitgate.connectors.hosts import polls
    from jitgate.main import clouds
    from jitgate.reconcile import Reconciler, record

    polls.HOLD_SECONDS = _HOLD_SECONDS
    defaults = Reconciler.__init__.__kwdefaults__
    assert defaults is not None
    defaults.update(lease_length=LEASE, sweep_every=SWEEP)
    Reconciler._patience = lambda _: asyncio.timeout(_PATIENCE_SECONDS)  # type: ignore[method-assign,assignment]
    record._LONGEST_RETRY = 1.0
    clouds._DUTY_LENGTH = LEASE
    _hurry_cloud()


def _hurry_cloud() -> None:
    """What was listed is old sooner. And beside the failpoint before any call there is one for each method:
    ``azure.put``."""
    from jitgate.connectors.azure import connector
    from jitgate.connectors.azure.arm import Arm

    connector.SWEEP_SECONDS = LISTING_SECONDS

    send = Arm._send

    def send_told(self: Arm, method: str, *others: Any) -> Any:
        failpoints.failpoint(f"azure.{method.lower()}")
        return send(self, method, *others)

    Arm._send = send_told  # type: ignore[method-assign,assignment]


def _agent() -> None:
    from jitgate.agent import polling

    polling._PATIENCE_SECONDS = _HOLD_SECONDS + 1.5
    polling._LONGEST_PAUSE, polling._LONGEST_PAUSE_IF_REFUSED = 1.0, 0.5


_HURRIED: dict[str, Callable[[], None]] = {
    "jitgate.main": _supervisor,  # Or a gateway elsewhere.
    "jitgate.main.server": _server,
    "jitgate.agent": _agent,
}

if __name__ == "__main__":
    run()
