"""``python -m jitgate.ops.demo.unshared``: the demo inside a user namespace, as `jitgate.ops.demo.rights` starts it."""

import subprocess
import sys

from jitgate.ops.demo import run


def main() -> int:
    """Make room for what ip(8) keeps in /run, for us alone; then go on as root would."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    words = sys.argv[1:]
    show = next((each for each in run.SHOWS if each.option in words), run.FIREWALLS)
    return run.run(once=run.ONCE in words, entered=True, show=show)


if __name__ == "__main__":
    sys.exit(main())
