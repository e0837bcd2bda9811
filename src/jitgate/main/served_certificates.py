"""The certificates that the server shows to clients, kept up to date while it runs.

Its own authority's is there always: for loopback, for addresses, and for every name that no other certificate is for.
One of the operator's is shown to who asks for a name that it holds.
"""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog

from jitgate.clock import Clock
from jitgate.core.errors import Invalid
from jitgate.trust import certificates, keyset, own_certificate
from jitgate.trust.own_certificate import OwnCertificate, Pair, serving

LOOK_EVERY_SECONDS = 5.0
"""How often files are looked at that others replace. A signal has them looked at once."""

_log = structlog.get_logger(__name__)


class ServedCertificates:
    """Of one data directory. `own`: the operator's; None: there is none. Raises Invalid, at the start only.

    Agents are told by the key set whom to believe, before they are shown it.
    """

    def __init__(self, directory: Path, names: Sequence[str], own: Pair | None, clock: Clock) -> None:
        self._directory = directory
        self._names = names
        self._pair = own
        self._clock = clock
        self._seen = _digest(own) if own else ""
        self._own = own_certificate.load(own, names, clock.wall()) if own else None
        self._issued = self._ensure()
        self._told = self._tell(self._own)
        self._trouble = ""
        self._ours = serving(self._issued.server)

    @property
    def server(self) -> Path:
        """The file of the certificate by our own authority, with its key."""
        return self._issued.server

    @property
    def files(self) -> Mapping[str, Path]:
        """The files of all certificates that matter here, by whose they are."""
        known = {"server": self._issued.server, "authority": self._issued.authority}
        return known | ({"own": self._pair.certificate} if self._pair else {})

    def authority(self) -> str:
        """Our own authority that signs now, PEM."""
        return self._issued.issuer

    def authorities(self) -> str:
        """Our own, also the former and the next, PEM."""
        return self._issued.authority.read_text("ascii")

    def attach(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Have a context show the right one to each client, by the name that it asks for, if any."""

        def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            own = self._own
            connection.context = own.context if own is not None and own.is_for(name) else self._ours

        context.sni_callback = choose
        return context

    async def keep(self) -> None:
        """Renew our own in time, and take the operator's anew when its files have changed; for ever."""
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_SECONDS):
                    await asked.wait()
            insists = asked.is_set()
            asked.clear()
            await asyncio.to_thread(self._look, insists=insists)

    def _look(self, *, insists: bool) -> None:
        """Do what is due; what cannot be done is told once, or whenever somebody insists."""
        trouble = ""
        for due in (partial(self._look_at_own, insists=insists), self._renew):
            try:
                due()
            except Invalid as error:
                trouble += error.message
        if trouble and (insists or trouble != self._trouble):
            _log.error("the certificates stay as they are", error=trouble)
        self._trouble = trouble

    def _look_at_own(self, *, insists: bool) -> None:
        """Take the operator's certificate if its files are others than at the last look, or somebody insists."""
        if self._pair is None:
            return
        seen = _digest(self._pair)
        if seen == self._seen and not insists:
            return
        found = own_certificate.load(self._pair, self._names, self._clock.wall())
        # First, so that no agent is shown what nobody has vouched for.
        self._told = self._tell(found)
        self._own, self._seen = found, seen
        _log.info("a certificate is taken", file=str(self._pair.certificate), ends=str(found.ends_at))

    def _renew(self) -> None:
        """Have our own be by the authority of now, for as long as it has to be."""
        self._issued = self._ensure()
        if self._issued.renewed:
            # A new one, not a change of the former: nobody may shake hands with half of each.
            self._ours = serving(self._issued.server)
            _log.info("the server's certificate was renewed", expires=str(self._issued.expires_at))
        if self._told != self._all(self._own):
            self._told = self._tell(self._own)

    def _tell(self, own: OwnCertificate | None) -> str:
        """Tell agents who vouches for what they are shown; what they are told."""
        told = self._all(own)
        keyset.ensure(self._directory, told)
        return told

    def _all(self, own: OwnCertificate | None) -> str:
        return self.authorities() + (own.authority if own else "")

    def _ensure(self) -> certificates.Certificates:
        """Ours is for every name that the operator's is not for: its authority may never have been made for them."""
        own = self._own
        names = [name for name in self._names if own is None or not own.is_for(name)]
        return certificates.ensure(self._directory, names, self._clock.wall())


def _digest(pair: Pair) -> str:
    """What tells how the files are now: that they cannot be read, too."""
    try:
        return pair.digest()
    except Invalid as error:
        return error.message
