"""``python -m jitgate.main.gateway``: the gateways' process, as the supervisor starts it.

It meets strangers, so first of all it gives up every right that it was started with, and all places that it could
write to but its own.
"""

import argparse
import signal
import socket
import sys
from pathlib import Path

from jitgate import log_lines
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.gateway import roster
from jitgate.ops import privileges
from jitgate.ops.confinement import confine
from jitgate.ops.privileges import StillPrivileged


def run() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="jitgate gateway")
    parser.add_argument("--control", type=int, required=True, help="descriptor of the socket that links come over")
    parser.add_argument("--state", type=Path, required=True, help=f"the directory that {roster.FILE} is in")
    options = parser.parse_args()
    log_lines.configure()
    # Ctrl-C reaches the whole terminal; whoever started this ends it, by closing the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        privileges.drop_all()
        # Not at the top: what talks to strangers shall never have had our rights.
        from jitgate.agent import gateway

        confine({options.state / roster.DIRECTORY})
        gateway.serve(socket.socket(fileno=options.control), options.state)
    except (ConnectorError, OSError) as error:
        sys.exit(f"jitgate gateway: {error}")
    except StillPrivileged as error:
        sys.exit(f"jitgate gateway: it would keep rights that it must not have: {error}")


if __name__ == "__main__":
    run()
