"""The rights that the demo needs: root's, or those that everybody has in a user namespace of their own.

A user namespace (user_namespaces(7)) makes the demo's firewall invisible to the rest of the machine all the more: even
the network that it starts from is a new, empty one.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from jitgate.core.errors import Unavailable
from jitgate.ops import privileges

_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 1 << 12, 1 << 21
_NEEDED = _CAP_NET_ADMIN | _CAP_SYS_ADMIN
_SYSTEM_PROGRAMS = ("/usr/sbin", "/sbin")
UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--")


def check_system() -> None:
    """Raise Unavailable where the demo cannot be."""
    if not sys.platform.startswith("linux"):
        raise Unavailable(
            "The demo needs Linux: its machines are network namespaces, or a socket with a filter of Linux's. "
            "Try it in a virtual machine with Linux. The gateway itself runs here as well: docs/how-to/gateway.md."
        )


def ensure(words: Sequence[str]) -> str:
    """Get the rights that a firewall needs; if need be as a new program with some words, in a user namespace.

    Returns "" with them, and why not where they are not to be had.
    """
    _find_system_programs()
    if privileges.held_capabilities().get("CapEff", 0) & _NEEDED == _NEEDED:
        return ""
    why = _no_user_namespaces()
    if not why:
        _go_on_unshared(words)
    return why


def _go_on_unshared(words: Sequence[str]) -> NoReturn:
    again = [sys.executable, "-P", "-m", "jitgate.ops.demo.unshared", *words]
    os.execvp(UNSHARE[0], [*UNSHARE, *again])  # noqa: S606  no shell is what is wanted


def _find_system_programs() -> None:
    """Have ip, mount and sshd found: only root's PATH names where they are."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(each for each in _SYSTEM_PROGRAMS if each not in path)])


def _no_user_namespaces() -> str:
    """Why this system lets us make none; "" where it does."""
    try:
        tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False, timeout=20)
    except OSError as error:
        return f"unshare: {error.strerror}"
    return (tried.stderr.strip() or "unshare fails") if tried.returncode else ""
