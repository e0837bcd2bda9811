"""The key that heads of the record are signed with.

::

    record.key   mode 600, never a row of the database        record.pub   public: give it to whoever checks the record
"""

from pathlib import Path

from jitgate.core.errors import Invalid
from jitgate.trust import signatures, succession
from jitgate.trust.files import Replaceable, create_private, write_public
from jitgate.trust.signatures import SigningKey
from jitgate.trust.succession import Succession

PRIVATE_FILE, PUBLIC_FILE = "record.key", "record.pub"


def ensure(directory: Path) -> Replaceable[Succession[SigningKey]]:
    """The keys in a data directory, made at the first start. Raises Invalid for a damaged file.

    A key that was lost is not replaced in silence: heads by another key are not trusted by who has the old one.
    """
    private, public = directory / PRIVATE_FILE, directory / PUBLIC_FILE
    if public.exists() and not private.exists():
        raise _broken(private, f"{PUBLIC_FILE} is there, and its private half is gone")
    try:
        if not private.exists():
            create_private(private, signatures.new_pem())
        held = Replaceable(private, read_keys)
    except (ValueError, OSError) as error:
        raise _broken(private, str(error)) from error
    # What is there stays: heads of an earlier key are checked with it.
    known = public.read_text("ascii", errors="replace").split() if public.exists() else []
    new = [entry.key.public for entry in held.now().entries if entry.key.public not in known]
    if new:
        write_public(public, "".join(f"{each}\n" for each in [*known, *new]).encode())
    return held


def read_keys(content: bytes) -> Succession[SigningKey]:
    """The keys in the file. Raises ValueError."""
    return succession.parse(content).map(signatures.read)


def _broken(path: Path, what: str) -> Invalid:
    return Invalid(
        path.name,
        f"the record cannot be sealed: {what}. Restore {path} from a backup; to go on with another key, remove both "
        f"{PRIVATE_FILE} and {PUBLIC_FILE}, start again, and give the new {PUBLIC_FILE} to all who check the record",
    )
