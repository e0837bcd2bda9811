"""Writing nowhere but in the data directory (Landlock, landlock(7)).

The server may run as root's user without root's rights; but what belongs to root, root's user may still write: the
code that the agent will run, for one. Landlock takes that away, without needing any right itself. Where the kernel
has it not (before 5.13, or switched off), the service unit's ``ProtectSystem=strict`` does the same.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from jitgate.ops import privileges
from jitgate.ops.privileges import StillPrivileged

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1

# All that changes a file system; reading and executing are not Landlock's here.
_WRITE_FILE = 1 << 1
_REMOVE_DIRECTORY, _REMOVE_FILE, _MAKE_DIRECTORY, _MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SPECIAL = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11
_MAKE_LINK = 1 << 12
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_ORDINARY = _REMOVE_DIRECTORY | _REMOVE_FILE | _MAKE_DIRECTORY | _MAKE_FILE
"""What a server needs to do in its directory. Not symbolic links: root's processes would follow them out of it."""
_SIGNALS = 1 << 1
"""Signals reach nobody outside: neither the agent nor the supervisor."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def confine(directories: Iterable[Path], devices: Iterable[Path] = (Path("/dev/null"),)) -> bool:
    """Let this process, and all that it starts, write nowhere but beneath some directories and to some devices.

    Beneath them it makes and removes ordinary files and directories: no links, sockets or devices.

    False where the kernel cannot. It needs no_new_privs. Raises StillPrivileged, also when there is a second thread.
    """
    privileges.check_single_thread()
    version = _system_call(_CREATE_RULESET, None, 0, _VERSION) if sys.platform.startswith("linux") else -1
    if version < 1:
        return False
    to_files = _WRITE_FILE | (_TRUNCATE if version >= 3 else 0)
    everything = to_files | _ORDINARY | _MAKE_SPECIAL | _MAKE_LINK | (_REFER if version >= 2 else 0)
    asked = _Ruleset(everything, 0, _SIGNALS if version >= 6 else 0)
    size = ctypes.sizeof(_Ruleset) if version >= 6 else ctypes.sizeof(ctypes.c_uint64)
    rules = _checked(_system_call(_CREATE_RULESET, ctypes.byref(asked), size, 0))
    try:
        for directory in directories:
            _allow(rules, directory, to_files | _ORDINARY)
        for device in devices:
            _allow(rules, device, to_files)
        _checked(_system_call(_RESTRICT_SELF, rules, 0))
    finally:
        os.close(rules)
    return True


def _allow(rules: int, path: Path, access: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise StillPrivileged(f"{path} cannot be opened: {error.strerror}") from None
    try:
        beneath = _Beneath(access, parent)
        _checked(_system_call(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(beneath), 0))
    finally:
        os.close(parent)


def _system_call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    return result


def _checked(result: int) -> int:
    if result < 0:
        raise StillPrivileged(f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result
