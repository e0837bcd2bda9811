"""Whether a machine can be reached past the gateway.

A gateway shuts nothing: a machine that also answers others is as open as before. So it counts as protected only when
a connection from an address that is not the gateway's is refused.
"""

import asyncio
import errno
import socket
from collections.abc import Sequence

from jitgate.connectors.gateway.relay import family_of, reset_on_close

PATIENCE_SECONDS = 2.0
_REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EACCES, errno.EPERM}
HOW_TO = "see docs/how-to/gateway.md"


async def around(address: str, port: int, sources: Sequence[str], patience: float = PATIENCE_SECONDS) -> str:
    """Why the port counts as exposed, and what to do; "" if it is refused to each source of the target's family."""
    usable = [source for source in sources if family_of(source) is family_of(address)]
    if not usable:
        return (
            f"exposed as far as is known: nothing has tried to reach {where(address, port)} past the gateway. Set "
            f"probe_from to an address of the gateway's machine that {address} must not admit; {HOW_TO}"
        )
    found = [why for source in usable if (why := await _probe(address, port, source, patience))]
    return "; ".join(found)


def where(address: str, port: int) -> str:
    """An address and a port as people write them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


async def _probe(address: str, port: int, source: str, patience: float) -> str:
    loop = asyncio.get_running_loop()
    with socket.socket(family_of(address), socket.SOCK_STREAM) as trying:
        trying.setblocking(False)
        try:
            trying.bind((source, 0))
        except OSError as error:
            return f"exposed as far as is known: probe_from {source} is no address of the gateway's machine ({error})"
        try:
            await asyncio.wait_for(loop.sock_connect(trying, (address, port)), patience)
        except TimeoutError:
            return ""
        except OSError as error:
            return "" if error.errno in _REFUSED else f"exposed as far as is known: the probe from {source}: {error}"
        reset_on_close(trying)
    return f"exposed: {where(address, port)} answers {source}, past the gateway. Admit only the gateway; {HOW_TO}"
