"""The thread that waits for other hands and for deadlines."""

import contextlib
import logging
import os
import select
import socket
import threading
from collections.abc import Callable

from jitgate.connectors.hosts import nf_tables

_log = logging.getLogger(__name__)

_AFTER_TROUBLE_SECONDS = 0.5
_RECEIVE = 1 << 17

ANY_TABLE = frozenset({"*"})
"""So much changed at once that the kernel dropped messages: any table may have."""


class Watch:
    """Calls `attend` with the inet tables that another hand changed, or with none when `wait` seconds have passed.

    `attend` is called from one thread. When it raises, it is called again soon after.
    """

    def __init__(
        self, link: socket.socket, wait: Callable[[], float], attend: Callable[[frozenset[str]], None], name: str
    ) -> None:
        self._link = link
        self._wait = wait
        self._attend = attend
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Ask `wait` again: a deadline may have become earlier."""
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Stop. What is under way is finished. The socket stays open."""
        self._closing = True
        self.wake()
        if self._thread is not threading.current_thread():
            self._thread.join()
        os.close(self._bell)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        pending: frozenset[str] = frozenset()
        while not self._closing:
            poll.poll(int(self._wait() * 1000) + 1 if not pending else int(_AFTER_TROUBLE_SECONDS * 1000))
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._bell)
            pending |= self._changed()
            if not self._closing:
                pending = self._try(pending)

    def _try(self, changed: frozenset[str]) -> frozenset[str]:
        """What is left to attend to."""
        try:
            self._attend(changed)
        except Exception:  # noqa: BLE001  a thread that died of whatever it was would guard nothing
            _log.exception("this host's firewall could not be looked after; trying again")
            return changed or ANY_TABLE
        return frozenset()

    def _changed(self) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        while True:
            try:
                found |= nf_tables.changed_tables(self._link.recv(_RECEIVE))
            except BlockingIOError:
                return found
            except OSError:
                # ENOBUFS: messages were lost, and which ones nobody can tell.
                return found | ANY_TABLE
