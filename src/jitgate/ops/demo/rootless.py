"""The demo for somebody who is not root: in a user namespace of its own (user_namespaces(7)), where they are."""

import os
import subprocess
import sys

from jitgate.connectors.hosts.netns import DIRECTORY
from jitgate.core.errors import Unavailable

_UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--propagation", "private")


def become_root() -> None:
    """Begin again as root of namespaces of one's own. Returns only to root. Raises Unavailable."""
    if os.geteuid() == 0:
        _make_room()
        return
    command = [*_UNSHARE, sys.executable, "-P", "-m", "jitgate.main", *sys.argv[1:]]
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise Unavailable(f"The demo needs root, or the command unshare: {error.strerror}.") from None


def how_to_enter() -> str:
    """What to put in front of a command in another terminal, so that it sees what the demo has made."""
    if _is_real_root():
        return ""
    return f"nsenter --target {os.getpid()} --user --mount --preserve-credentials "


def _make_room() -> None:
    """For the names of network namespaces: the directory belongs to the real root, so another is laid over it."""
    if not _is_real_root():
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(DIRECTORY.parent)], check=True, timeout=20)


def _is_real_root() -> bool:
    """Whether root here is root everywhere: then all user ids are mapped, each to itself."""
    with open("/proc/self/uid_map", encoding="ascii") as mapped:
        return mapped.read().split() == ["0", "0", "4294967295"]
