"""Established sessions: who would be cut off, and ending those whose grant is over.

The table already drops their packets, both ways, with nobody alive. Resetting the sockets is courtesy: both sides learn
at once, in place of waiting for an answer that never comes.
"""

from jitgate.connectors.hosts import facts
from jitgate.connectors.hosts.mirror import Covered
from jitgate.connectors.hosts.sockets import CONNECTED, ESTABLISHED, Session, Sockets
from jitgate.core.desired import PortKey, Protocol
from jitgate.core.prefixes import ANYWHERE, Prefix, covers


class Sessions:
    """The sessions of one namespace. Not thread-safe. Sees no session of a container behind a published port."""

    def __init__(self, namespace: str | None, always: tuple[Prefix, ...]) -> None:
        self._namespace = namespace
        self._always = always
        self._sockets = Sockets(namespace)

    def uncovered(self, port: PortKey, covered: Covered) -> list[Session]:
        """The established sessions on a port that nothing lets in. Raises ConnectorError or OSError."""
        return self._uncovered(port, covered, ANYWHERE, ESTABLISHED)

    def end(self, port: PortKey, covered: Covered, within: tuple[Prefix, ...] = ANYWHERE) -> int:
        """Reset the sessions of peers inside `within` that nothing lets in; how many there were."""
        return sum(self._sockets.reset(each) for each in self._uncovered(port, covered, within, CONNECTED))

    def close(self) -> None:
        self._sockets.close()

    def _uncovered(self, port: PortKey, covered: Covered, within: tuple[Prefix, ...], states: int) -> list[Session]:
        if port.protocol is not Protocol.TCP:
            return []
        every = self._sockets.sessions(port.port, states)
        found = [each for each in every if any(covers(wide, each.peer) for wide in within)]
        if not found:
            return []
        own = {address for address, _ in facts.addresses(self._namespace)}
        return [each for each in found if not self._let_in(each, port, covered, own)]

    def _let_in(self, session: Session, port: PortKey, covered: Covered, own: set[str]) -> bool:
        if session.peer.partition("/")[0] in own:
            return True
        return any(covers(wide, session.peer) for wide in self._always) or covered(session.peer, port)
