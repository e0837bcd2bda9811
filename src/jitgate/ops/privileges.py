"""Giving up Linux capabilities (capabilities(7)), for good.

The web process runs as the user it was started as, without a single capability: it can neither touch a firewall
nor get the right back by starting another program.
"""

import ctypes
import os
import sys
from pathlib import Path

_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_HELD = ("CapInh", "CapPrm", "CapEff", "CapAmb")


class StillPrivileged(Exception):
    """A right could not be given up. The process must not go on."""


def drop_all() -> None:
    """Give up every capability, for this process and for all that it will start.

    To be called before there is a second thread, because the kernel does it for one thread only. Does nothing where
    there are no capabilities. Raises StillPrivileged.
    """
    if not sys.platform.startswith("linux"):
        return
    check_single_thread()
    libc = ctypes.CDLL(None, use_errno=True)
    # First of all: from here on no program that we start can have more than we have, not even as root.
    _call(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _empty_the_bounding_set(libc)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _call(libc.capset(header, (ctypes.c_uint32 * 6)()), "empty the capability sets")
    if held := held_capabilities():
        raise StillPrivileged(f"capabilities are left after giving up all: {held}")


def check_single_thread() -> None:
    """What a thread gives up, others keep. Raises StillPrivileged if there are others."""
    if sys.platform.startswith("linux") and len(os.listdir("/proc/self/task")) > 1:
        raise StillPrivileged("there are other threads already, which would keep what this one gives up")


def held_capabilities(pid: int | str = "self") -> dict[str, int]:
    """The capability sets of a process that are not empty, as bit masks. Raises OSError."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    found = {name: int(value, 16) for name, _, value in (line.partition(":") for line in lines) if name in _HELD}
    return {name: mask for name, mask in found.items() if mask}


def _empty_the_bounding_set(libc: ctypes.CDLL) -> None:
    """As far as CAP_SETPCAP allows; without it, no_new_privs is what holds."""
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) < 0:
            return
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _call(result: int, what: str) -> None:
    if result != 0:
        raise StillPrivileged(f"cannot {what}: {os.strerror(ctypes.get_errno())}")
