"""The machine that was measured, in the words that make its figures comparable."""

import os
import platform
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path

import jitgate

Description = dict[str, str | float | int]

_SYNCS = 200


def describe(directory: Path) -> Description:
    """Processor, memory, kernel, versions, and how long the disk below `directory` takes to keep a promise."""
    return {
        "jitgate": jitgate.__version__,
        "processor": _after_colon(Path("/proc/cpuinfo"), "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memoryGiB": round(int(_after_colon(Path("/proc/meminfo"), "MemTotal").split()[0]) / (1 << 20), 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "nft": _first_line(["nft", "--version"]),
        "fileSystem": _file_system(directory),
        "fdatasyncMs": round(_sync_ms(directory), 3),
        "loadBefore": round(os.getloadavg()[0], 2),
    }


def sentence(machine: Description) -> str:
    """The same in one line."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memoryGiB']} GiB, kernel {machine['kernel']}, "
        f"Python {machine['python']}, SQLite {machine['sqlite']}, {machine['nft']}; {machine['fileSystem']}, "
        f"fdatasync {machine['fdatasyncMs']} ms; load when it began {machine['loadBefore']}"
    )


def _after_colon(path: Path, name: str) -> str:
    lines = (line for line in path.read_text().splitlines() if line.startswith(name))
    return next(lines, ": unknown").partition(":")[2].strip()


def _first_line(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()


def _file_system(directory: Path) -> str:
    """The type of the longest mount point above the directory (proc_pid_mounts(5))."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if directory.resolve().is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1]


def _sync_ms(directory: Path) -> float:
    """The median of some fdatasync calls, each after one page was appended, as a commit does."""
    path = directory / "synced"
    taken = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for _ in range(_SYNCS):
            os.write(descriptor, b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            taken.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(taken)
