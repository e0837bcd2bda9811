"""``python -m jitgate.ops.demo.sshd CONFIG``: sshd(8) as one of the demo's machines runs it.

To be run by ``ip netns exec``, in a mount namespace of its own therefore: sshd insists on a directory /run/sshd, and
the system's /run is none of the demo's business.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# OpenSSH from 9.8 on punishes clients that connect and say nothing, as somebody who tries a port does.
_NO_PENALTIES = ("-o", "PerSourcePenalties=no")


def main() -> None:
    """Become sshd. Exits with a sentence if there is none."""
    program = shutil.which("sshd")
    if program is None:
        sys.exit("sshd is not installed")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    Path("/run/sshd").mkdir(mode=0o755)
    command = [program, "-f", sys.argv[1]]
    understood = subprocess.run([*command, "-t", *_NO_PENALTIES], capture_output=True, check=False).returncode == 0
    os.execv(program, [*command, "-D", "-e", *(_NO_PENALTIES if understood else ())])  # noqa: S606  no shell is what is wanted


if __name__ == "__main__":
    main()
