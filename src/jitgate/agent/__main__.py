"""``python -m jitgate.agent --fd N --state DIR``: the agent's process."""

import argparse
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from jitgate.agent.link import Link
from jitgate.agent.post import Post
from jitgate.agent.serving import serve
from jitgate.clock import SystemClock
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import roster
from jitgate.connectors.hosts.wire import Malformed

_log = logging.getLogger("jitgate.agent")


def run() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="jitgate-agent", description="Holds the firewall of this machine's hosts.")
    parser.add_argument("--fd", type=int, required=True, help="the connected socket to the server")
    parser.add_argument("--state", type=Path, required=True, help="the directory that hosts.json is in")
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s"
    )
    # Ctrl-C reaches the whole terminal; whoever started the agent ends it, by closing the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Until there are hosts to look at. They look at their orders when they begin.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        _run(socket.socket(fileno=options.fd), options.state)
    except (ConnectorError, Malformed, OSError) as error:
        sys.exit(f"jitgate agent: {error}")


def _run(link: socket.socket, state: Path) -> None:
    # Waits for a former agent to end: only one process can own a host's table.
    held = roster.hold_pid(state, wait=True)
    clock = SystemClock()
    to_server = Link(link)
    posts = [Post(host, host.directory(state), clock, to_server.say) for host in roster.read(state)]

    def reread(*_: object) -> None:
        for post in posts:
            post.reread()

    signal.signal(signal.SIGHUP, reread)
    _log.info("holding %s", ", ".join(post.host.name for post in posts) or "no host")
    serve(to_server, posts)
    assert held is not None
    os.close(held)


if __name__ == "__main__":
    run()
