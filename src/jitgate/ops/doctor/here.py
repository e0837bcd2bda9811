"""What can be looked at on this machine alone: database, clock, certificates, backups."""

import ctypes
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from jitgate.clock import Clock
from jitgate.core.errors import Invalid, Unavailable
from jitgate.ops.backup import LAST
from jitgate.ops.directory import is_shared
from jitgate.ops.doctor.finding import Finding, fine, mend, unseen
from jitgate.store.checkup import Condition, examine
from jitgate.trust import certificates
from jitgate.trust.own_certificate import validity

CLOCKS_MAY_DIFFER = timedelta(seconds=5)
AUTHORITY_WARNS = timedelta(days=180)
"""With 90 days left an authority can vouch for no server certificate any more, and jitgate does not start."""
RENEWAL_IS_LATE = certificates.RENEW_BEFORE - timedelta(days=2)
"""A server that runs renews its certificate before this little is left."""

_UNSYNCHRONISED = 5
"""TIME_ERROR of adjtimex(2)."""
_TIMEX_BYTES = 512
"""More than a `struct timex` has anywhere."""


def database(url: str, clock: Clock) -> Iterator[Finding]:
    """Whether it is reached, whether its tables are right, and whether its clock is ours."""
    try:
        found = examine(url, clock)
    except (Invalid, Unavailable) as error:
        yield mend("database", error.message, "Start the database, or correct store.url or JITGATE_DATABASE.")
        return
    yield tables(found)
    if found.now is not None and found.latest is not None:
        yield times(clock.wall(), found.now, found.latest)


def tables(found: Condition) -> Finding:
    """Whether the tables are as this jitgate needs them."""
    if found.now is None:
        return mend("database", "there are no tables of jitgate's in it", "Start `jitgate serve` once; it makes them.")
    if found.differences:
        what = f"the tables are not as they must be: {'; '.join(found.differences)[:500]}"
        return mend("database", what, "Undo what was changed by hand, or restore a backup.")
    if not found.fits and not found.missing:
        return mend("database", "it was made by a newer jitgate", "Install the newer jitgate again.")
    if found.missing:
        what = f"revisions are missing: {', '.join(found.missing)}"
        return mend("database", what, "Run `jitgate db migrate --post` once all replicas have this version.")
    return fine("database", "reached, and its tables are right")


def times(here: datetime, there: datetime, latest: datetime) -> Finding:
    """Whether this machine's clock agrees with the database's, and with what is on record."""
    apart = here - there
    if abs(apart) > CLOCKS_MAY_DIFFER:
        what = f"{abs(apart).total_seconds():.0f} s {'ahead of' if here > there else 'behind'} the database's"
        return mend("clock", what, "Have both machines keep time by NTP.")
    if latest - here > CLOCKS_MAY_DIFFER:
        what = f"{(latest - here).total_seconds():.0f} s behind the latest moment on record: it was set back"
        return mend("clock", what, "Set it right, and have NTP keep it; until then jitgate counts on from the record.")
    return fine("clock", "agrees with the database's and with the record")


def synchronisation(state: int | None = None) -> Finding:
    """Whether the kernel knows its clock to be kept right. `state`: what adjtimex(2) said; None: ask it."""
    said = _ask_kernel() if state is None else state
    if said < 0:
        return unseen("synchronisation", "the kernel does not tell", "Run this outside of the sandbox.")
    if said == _UNSYNCHRONISED:
        return mend("synchronisation", "nothing keeps the clock right", "Start chrony or systemd-timesyncd.")
    return fine("synchronisation", "the kernel's clock is kept right")


def certificate(directory: Path, name: str, now: datetime) -> Finding:
    """How long a certificate is good for: `ca.pem` or `server.pem`."""
    try:
        end = certificates.end_of(directory / name)
    except Invalid as error:
        return unseen(name, error.message, "Start `jitgate serve` once, or restore the file from a backup.")
    what = f"good until {end:%Y-%m-%d}" if end > now else f"ended on {end:%Y-%m-%d}"
    if name == "ca.pem" and end - now < AUTHORITY_WARNS:
        return mend(
            name,
            what,
            "Run `jitgate keys rotate ca`, and give ca.pem to clients: docs/how-to/rotate-keys.md.",
        )
    if name == "server.pem" and end - now < RENEWAL_IS_LATE:
        return mend(name, what, "Start `jitgate serve`: it renews it. If it runs, its log says why it did not.")
    return fine(name, what)


def own_certificate(certificate_file: Path, now: datetime) -> Finding:
    """How long the operator's own is good for. Whoever renews it is late when a fifth of its life is left."""
    check = "certificate_file"
    try:
        begin, end = validity(certificate_file)
    except Invalid as error:
        return mend(check, error.message, "Put a certificate there; until then the server keeps the one it has.")
    what = f"{certificate_file} is good until {end:%Y-%m-%d}" if end > now else f"it ended on {end:%Y-%m-%d}"
    if end - now < (end - begin) / 5:
        return mend(check, what, "See why nobody has renewed it (certbot, cert-manager); jitgate takes it by itself.")
    return fine(check, what)


def backup(directory: Path, url: str, now: datetime, longest: timedelta) -> Finding:
    """How old the last backup is. Of PostgreSQL its own tools make them, and whoever runs these says when."""
    file = directory / LAST
    do = "Run `jitgate backup FILE`, from a timer."
    if is_shared(url):
        do = f"Have the job that backs PostgreSQL up write the time to {file}: docs/how-to/back-up.md."
    try:
        age = now - datetime.fromisoformat(file.read_text("ascii").strip())
    except FileNotFoundError:
        return mend("backup", "none was ever made, as far as is known", do)
    except (OSError, ValueError, TypeError) as error:
        return unseen("backup", f"{file} cannot be read: {error}", do)
    what = f"the last one is {age.total_seconds() / 3600:.0f} hours old"
    return mend("backup", what, do) if age > longest else fine("backup", what)


def _ask_kernel() -> int:
    # All zero: nothing is to be set, so no right is needed.
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
