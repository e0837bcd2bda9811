"""Established sessions: who would be cut off, and ending those whose grant is over.

The table already drops their packets, both ways, with nobody alive. Resetting the sockets is courtesy: both sides learn
at once, in place of waiting for an answer that never comes.
"""

from collections import defaultdict
from collections.abc import Iterable

from jitgate.connectors.hosts import facts
from jitgate.connectors.hosts.mirror import Changes, Mirror
from jitgate.connectors.hosts.sockets import CONNECTED, ESTABLISHED, Session, Sockets
from jitgate.connectors.hosts.table import Ports
from jitgate.core.desired import AccessKey, PortKey, Protocol, SessionEnd
from jitgate.core.prefixes import ANYWHERE, Prefix, covers, text


class Sessions:
    """The sessions of one namespace. Not thread-safe. Sees no session of a container behind a published port.

    Everything raises ConnectorError, or OSError where the kernel does not answer.
    """

    def __init__(self, namespace: str | None, machine: str, always: tuple[Prefix, ...], mirror: Mirror) -> None:
        self._namespace = namespace
        self._machine = machine
        self._always = always
        self._mirror = mirror
        self._sockets = Sockets(namespace)

    def lock_out(self, port: PortKey, opening: Changes) -> str:
        """Why a port cannot be protected without cutting somebody off, with `opening` done; "" if it can."""
        strangers = self._uncovered(port, opening, ANYWHERE, ESTABLISHED)
        if not strangers:
            return ""
        return (
            f"not protected: {text(strangers[0].peer)} is connected to {port} and would be cut off, since nothing lets"
            " it in; open access from there first, or force the protection"
        )

    def end_for(self, closed: Iterable[AccessKey], cut: Iterable[AccessKey], ports: Ports) -> None:
        """End the sessions of keys that are no more: of cut ones on every port, else where sessions end."""
        over: dict[PortKey, set[Prefix]] = defaultdict(set)
        ending = {port for port, session in ports.items() if session is SessionEnd.END}
        for key in closed:
            if (key.protocol, key.port) in ending:
                over[key.target].add(key.prefix)
        for key in cut:
            over[key.target].add(key.prefix)
        for port, prefixes in over.items():
            self.end(port, tuple(prefixes))

    def end_on(self, ports: Iterable[tuple[Protocol, int]]) -> None:
        """End what nothing lets in."""
        for protocol, port in ports:
            self.end(PortKey(self._machine, port, protocol), ANYWHERE)

    def end(self, port: PortKey, within: tuple[Prefix, ...]) -> None:
        """Reset the sessions of peers inside `within` that nothing lets in."""
        for each in self._uncovered(port, {}, within, CONNECTED):
            self._sockets.reset(each)

    def close(self) -> None:
        self._sockets.close()

    def _uncovered(self, port: PortKey, opening: Changes, within: tuple[Prefix, ...], states: int) -> list[Session]:
        if port.protocol is not Protocol.TCP:
            return []
        every = self._sockets.sessions(port.port, states)
        found = [each for each in every if any(covers(wide, each.peer) for wide in within)]
        if not found:
            return []
        own = {address for address, _ in facts.addresses(self._namespace)}
        return [each for each in found if not self._let_in(each.peer, port, opening, own)]

    def _let_in(self, peer: Prefix, port: PortKey, opening: Changes, own: set[str]) -> bool:
        if text(peer) in own or any(covers(wide, peer) for wide in self._always):
            return True
        return self._mirror.covers(peer, port, opening)
