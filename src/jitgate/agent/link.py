"""The agent's end of the socket to the server beside it."""

import socket
import threading
from collections.abc import Iterator

from jitgate.connectors.hosts import messages
from jitgate.connectors.hosts.messages import Answer, Request
from jitgate.failpoints import failpoint


class SocketLink:
    """Any thread may say something; one reads."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._speaking = threading.Lock()

    def requests(self) -> Iterator[Request]:
        """What the server asks, as it comes, until it is gone. Raises Malformed, OSError."""
        while (body := messages.receive(self._socket)) is not None:
            failpoint("agent.link.received")
            yield messages.decode_request(body)

    def say(self, answer: Answer) -> None:
        """Tell the server. Does nothing when it is gone: the reader will notice.

        Raises ConnectorError for an answer that is too long.
        """
        message = messages.encode(answer)
        failpoint("agent.link.before_send")
        try:
            with self._speaking:
                self._socket.sendall(message)
        except (BrokenPipeError, ConnectionResetError):
            return
        failpoint("agent.link.after_send")
