"""Processes that die at a call: for real, or as far as anything is left of them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.stateful.worlds import Killed

CHILD = Path(__file__).with_name("child.py")


async def run_child(kind: str, directory: Path, url: str, failpoint: str) -> subprocess.CompletedProcess[str]:
    """A process that reconciles all that is due over a fake until it is killed at a failpoint, or has done it."""
    environ = {**os.environ, "JITGATE_FAILPOINT": failpoint}
    command = [sys.executable, str(CHILD), kind, str(directory), url]
    return await asyncio.to_thread(
        subprocess.run, command, env=environ, check=False, capture_output=True, text=True, timeout=60
    )


def dies_at(number: int, name: str) -> Callable[[str], None]:
    """In place of `failpoint`: no line runs after it was reached so many times."""
    left = [number]

    def dies(reached: str) -> None:
        left[0] -= reached == name
        if left[0] == 0 and reached == name:
            raise Killed

    return dies
