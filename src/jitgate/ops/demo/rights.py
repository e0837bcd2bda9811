"""The rights that the demo needs: root's, or those that everybody has in a user namespace of their own.

A user namespace (user_namespaces(7)) makes the demo's firewall invisible to the rest of the machine all the more: even
the network that it starts from is a new, empty one.
"""

import os
import subprocess
import sys

from jitgate.core.errors import Unavailable
from jitgate.ops import privileges

_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 1 << 12, 1 << 21
_NEEDED = _CAP_NET_ADMIN | _CAP_SYS_ADMIN
_SYSTEM_PROGRAMS = ("/usr/sbin", "/sbin")
UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--")


def check_system() -> None:
    """Raise Unavailable where there are no network namespaces at all."""
    if not sys.platform.startswith("linux"):
        raise Unavailable(
            "The demo needs Linux: its machines are network namespaces, and their firewall is nftables. "
            "Try it in a virtual machine with Linux."
        )


def ensure(*, once: bool) -> None:
    """Return with the rights that the demo needs; if need be as a new program, in a user namespace.

    Raises Unavailable, and says what to do.
    """
    _find_system_programs()
    if privileges.held_capabilities().get("CapEff", 0) & _NEEDED == _NEEDED:
        return
    _check_user_namespaces()
    again = [sys.executable, "-P", "-m", "jitgate.ops.demo.unshared", *(["--once"] if once else [])]
    os.execvp(UNSHARE[0], [*UNSHARE, *again])  # noqa: S606  no shell is what is wanted


def _find_system_programs() -> None:
    """Have ip, mount and sshd found: only root's PATH names where they are."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(each for each in _SYSTEM_PROGRAMS if each not in path)])


def _check_user_namespaces() -> None:
    try:
        tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False, timeout=20)
        why = tried.stderr.strip() if tried.returncode else ""
    except OSError as error:
        why = f"unshare: {error.strerror}"
    if why:
        raise Unavailable(
            "The demo makes network namespaces and firewall rules. You may not, and this system lets you make no user "
            f"namespace to do it in ({why}). Run it as root: sudo make demo. In a container, start that with "
            "--privileged, or with the capabilities NET_ADMIN and SYS_ADMIN and no seccomp profile."
        )
