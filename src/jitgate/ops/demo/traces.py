"""What a demo leaves in the system, found by the process id that is in every name.

A demo removes its own traces when it ends. One that was killed with -9 could not; the next one does it.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from jitgate.connectors.hosts.netns import DIRECTORY as NAMESPACES

_NAMESPACE = re.compile(r"jg-demo-(\d{1,10})-[a-z0-9-]+")
_DIRECTORY = re.compile(r"jg-demo-(\d{1,10})-\w+")
_OPTIONS = {"--data-dir", "--state"}
_MAY_TAKE_SECONDS = 10.0


def namespace(pid: int, name: str) -> str:
    """What the demo with that process id calls a namespace."""
    return f"jg-demo-{pid}-{name}"


def make_directory(pid: int) -> Path:
    """A directory for a demo's files, for its owner alone."""
    return Path(tempfile.mkdtemp(prefix=f"jg-demo-{pid}-"))


def sweep() -> None:
    """Remove what demos have left that run no more. One that runs is left alone.

    To be called before anything is made: what bears our own id then is of somebody who had it before us.
    """
    left = {pid for pid, _ in _namespaces()} | {pid for pid, _ in _directories()}
    for pid in sorted(left):
        if pid == os.getpid() or not _is_demo(pid):
            remove(pid)


def remove(pid: int) -> list[str]:
    """End every process of a demo but itself, and remove its namespaces and directories. What is left all the same."""
    names, directories = _of(pid)
    serve = [found for each in directories for found in serving(each)]
    _end({*serve, *(found for each in names for found in _in(each))})
    for name in names:
        _ip_netns("del", name)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    names, directories = _of(pid)
    return [*names, *map(str, directories)]


def serving(directory: Path) -> list[int]:
    """The processes of jitgate that work on a data directory at or below this one."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _serves(entry, directory)]


def running(directory: Path, module: str) -> int | None:
    """The process of jitgate that runs that module and works on a data directory."""
    return next((pid for pid in serving(directory) if module in _command_line(Path("/proc", str(pid)))), None)


def _serves(process: Path, directory: Path) -> bool:
    words = _command_line(process)
    named = (Path(value) for option, value in pairwise(words) if option in _OPTIONS)
    return any(path.is_relative_to(directory) for path in named)


def _is_demo(pid: int) -> bool:
    """Whether that process is a demo. Another that has got its id since is none."""
    words = _command_line(Path("/proc", str(pid)))
    return any("jitgate" in word for word in words) and any(word == "demo" or ".demo." in word for word in words)


def _command_line(process: Path) -> list[str]:
    """A living process' command line; nothing for one that is gone, or dead and not waited for yet."""
    try:
        words = os.fsdecode((process / "cmdline").read_bytes())
    except OSError:
        return []
    return words.split("\0") if words else []


def _namespaces() -> Iterator[tuple[int, str]]:
    for path in NAMESPACES.iterdir() if NAMESPACES.exists() else ():
        if found := _NAMESPACE.fullmatch(path.name):
            yield int(found[1]), path.name


def _directories() -> Iterator[tuple[int, Path]]:
    """Those that are our own: anybody may make directories beside them, and call them so."""
    for path in Path(tempfile.gettempdir()).iterdir():
        if (found := _DIRECTORY.fullmatch(path.name)) and _is_own(path):
            yield int(found[1]), path


def _is_own(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.geteuid()
    except OSError:
        return False


def _of(pid: int) -> tuple[list[str], list[Path]]:
    """The namespaces and directories of a demo."""
    return [name for of, name in _namespaces() if of == pid], [path for of, path in _directories() if of == pid]


def _in(name: str) -> list[int]:
    return [int(pid) for pid in _ip_netns("pids", name).split()]


def _ip_netns(*arguments: str) -> str:
    command = ["ip", "netns", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_MAY_TAKE_SECONDS).stdout


def _end(pids: set[int]) -> None:
    """Kill processes, and wait until they are gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    give_up = time.monotonic() + _MAY_TAKE_SECONDS
    while any(_command_line(Path("/proc", str(pid))) for pid in pids) and time.monotonic() < give_up:
        time.sleep(0.01)
