"""The key that heads of the record are signed with.

::

    record.key   mode 600, never a row of the database        record.pub   public: give it to whoever checks the record
"""

from pathlib import Path

from jitgate.core.errors import Invalid
from jitgate.trust import signatures
from jitgate.trust.files import write_public
from jitgate.trust.signatures import SigningKey

PRIVATE_FILE, PUBLIC_FILE = "record.key", "record.pub"


def ensure(directory: Path) -> SigningKey:
    """The key in a data directory, made at the first start. Raises Invalid for a damaged one.

    A key that was lost is not replaced in silence: heads by another key are not trusted by who has the old one.
    """
    private, public = directory / PRIVATE_FILE, directory / PUBLIC_FILE
    if public.exists() and not private.exists():
        raise _broken(private, f"{PUBLIC_FILE} is there, and its private half is gone")
    try:
        key = signatures.ensure(private)
    except (ValueError, TypeError, OSError) as error:
        raise _broken(private, str(error)) from error
    if not public.exists() or key.public not in public.read_text("ascii", errors="replace").split():
        # What is there stays: heads of an earlier key are checked with it.
        earlier = public.read_text("ascii", errors="replace").split() if public.exists() else []
        write_public(public, "".join(f"{each}\n" for each in [*earlier, key.public]).encode())
    return key


def _broken(path: Path, what: str) -> Invalid:
    return Invalid(
        path.name,
        f"the record cannot be sealed: {what}. Restore {path} from a backup; to go on with another key, remove both "
        f"{PRIVATE_FILE} and {PUBLIC_FILE}, start again, and give the new {PUBLIC_FILE} to all who check the record",
    )
