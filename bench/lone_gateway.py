"""``python -m bench.lone_gateway DIRECTORY PORT``: a gateway without a server, open for loopback for an hour."""

import sys
import threading
from datetime import timedelta
from pathlib import Path

from jitgate.agent.gateway import GatewayPost
from jitgate.clock import SystemClock
from jitgate.connectors.gateway.roster import Place, Target
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol
from jitgate.core.prefixes import Prefix

_UUID = "11111111-0000-0000-0000-000000000001"


def run() -> None:
    """Say the mapped port, and relay."""
    directory, port = Path(sys.argv[1]), int(sys.argv[2])
    clock = SystemClock()
    target = (Target("bench", _UUID, "127.0.0.1"),)
    place = Place("bench", "127.0.0.1", target, ("127.0.0.1",), probe_from=("127.0.0.9",), most_per_source=1 << 16)
    post = GatewayPost(place, directory, clock, lambda _: None)
    post.start()
    key = PortKey(_UUID, port, Protocol.TCP)
    access = AccessKey(_UUID, port, Protocol.TCP, Prefix("127.0.0.0/8"))
    desired = Desired(
        place.scope,
        1,
        clock.wall(),
        frozenset({_UUID}),
        {key: Protection()},
        {access: clock.wall() + timedelta(hours=1)},
        complete=True,
    )
    report = post.sync(desired, clock.elapsed())
    print(report.connections[_UUID].mapped_ports[port], flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    run()
