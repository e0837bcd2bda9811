"""An agent that opens a port and is killed before it can shut it.

Arguments: namespace, state directory, session end, milliseconds, prefix. Prints the end (ISO 8601) and dies by SIGKILL.
"""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from jitgate.clock import SystemClock
from jitgate.connectors.hosts.enforcer import Enforcer
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix

namespace, state_dir, session, milliseconds, prefix = sys.argv[1:]
machine, port = "7b1c9f0e-4c1d-4a55-9f0b-0d3c8a5e2f11", 2222
clock = SystemClock()
worked_out = clock.elapsed()
end = clock.wall() + timedelta(milliseconds=int(milliseconds))
ports = {PortKey(machine, port, each): Protection(SessionEnd(session)) for each in (Protocol.TCP, Protocol.UDP)}
access = {AccessKey(machine, port, each, Prefix(prefix)): end for each in (Protocol.TCP, Protocol.UDP)}

enforcer = Enforcer("host/test", machine, namespace, Path(state_dir), clock)
enforcer.start()
enforcer.sync(Desired("host/test", 1, clock.wall(), frozenset({machine}), ports, access, complete=True), worked_out)
sys.stdout.write(end.isoformat() + "\n")
sys.stdout.flush()
if sys.stdin.read(1) == "":
    os.kill(os.getpid(), signal.SIGKILL)
