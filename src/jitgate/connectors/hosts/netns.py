"""Named network namespaces (network_namespaces(7)): doing one thing inside one.

A socket belongs for ever to the namespace of the thread that made it, so a short-lived thread that
enters a namespace, makes the socket and ends is enough; the socket then works from any thread.
"""

import ctypes
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from jitgate.connectors.base import ConnectorError

DIRECTORY = Path("/run/netns")
"""Where iproute2 keeps the names (ip-netns(8))."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_CLONE_NEWNET = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def check_name(name: str) -> str:
    """The name itself, if it can name a namespace. Raises ConnectorError if not."""
    if not _NAME.fullmatch(name):
        raise ConnectorError(
            f"{name[:64]!r} cannot name a network namespace: use up to 63 letters, digits, '.', '-' and '_'",
            retry=False,
        )
    return name


def run_inside(namespace: str | None, act: Callable[[], T]) -> T:
    """What `act` returns, or raises, when it runs inside the namespace; None is the process's own.

    Raises ConnectorError if there is no such namespace or it may not be entered.
    """
    if namespace is None:
        return act()
    path = DIRECTORY / check_name(namespace)
    outcome: Future[T] = Future()
    thread = threading.Thread(target=_enter_and_run, args=(path, act, outcome), name=f"netns-{namespace}", daemon=True)
    thread.start()
    thread.join()
    return outcome.result()


def _enter_and_run(path: Path, act: Callable[[], T], outcome: "Future[T]") -> None:
    try:
        _enter(path)
        outcome.set_result(act())
    except BaseException as error:  # noqa: BLE001  whatever it is belongs to the caller: this thread has nobody to tell
        outcome.set_exception(error)


def _enter(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ConnectorError(f"there is no network namespace {path.name!r}; 'ip netns list' shows all") from None
    except OSError as error:
        raise ConnectorError(f"network namespace {path.name!r} cannot be opened: {error.strerror}") from error
    try:
        if _libc.setns(handle, _CLONE_NEWNET) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise ConnectorError(f"network namespace {path.name!r} cannot be entered: {reason} (needs CAP_SYS_ADMIN)")
    finally:
        os.close(handle)
