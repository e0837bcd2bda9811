"""An agent whose wall clock is off by so many seconds: ``python -m tests.skewed_agent SECONDS run --state DIR``."""

import sys
from datetime import datetime, timedelta

from jitgate import clock
from jitgate.agent.command import run

off = timedelta(seconds=float(sys.argv[1]))
true_time = clock.SystemClock.wall


def wall(self: clock.SystemClock) -> datetime:
    return true_time(self) + off


clock.SystemClock.wall = wall  # type: ignore[method-assign]
run(sys.argv[2:])
