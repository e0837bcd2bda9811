"""``jitgate backup`` and ``jitgate restore``: all that an installation needs, in one file.

A backup knows nothing of what happened after it. So whatever it holds open is shut when it is restored: it may have
been closed since, on purpose. Who asks again is judged anew.
"""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitgate.clock import SystemClock
from jitgate.core.errors import Conflict, Invalid
from jitgate.ops import directory
from jitgate.ops.command_line import SYSTEM_DIR, DataDir, refusals_told
from jitgate.ops.directory import SHARED_KEYS, DataDirectory
from jitgate.trust import record_key
from jitgate.trust.files import create_private, write_private

if TYPE_CHECKING:
    from jitgate.store.database import Tx

RECORDS = "jitgate.db"
KEPT = ("jitgate.toml", "owner.token", "replica", "agent/hosts.json", "agent/gateways.json", *SHARED_KEYS)
"""What goes into a backup beside the records. Not what firewalls keep of their own: it is newer than any backup."""
LAST = "backed-up"
"""The file in the data directory that says when the last one was made."""

RIGHTS_ARE_BACK = (
    "Who has lost a right or a token since the backup has it again: look at `jitgate activity` off this machine."
)

_LARGEST = 1 << 20
"""Bytes of a file beside the records."""


def backup(
    to: Annotated[Path, typer.Argument(help="The file to make. It holds keys: keep it as safe as the server.")],
    data_dir: DataDir = SYSTEM_DIR,
) -> None:
    """Copy records, settings and keys into one file, as of one moment, while jitgate runs."""
    with refusals_told():
        _back_up(directory.existing(data_dir), to.absolute())
    print(f"{to} holds everything as of now, with the keys: only its owner can read it, and nobody else should.")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `jitgate backup` made.")],
    data_dir: DataDir = SYSTEM_DIR,
) -> None:
    """Go back to the records of a backup, while jitgate is stopped. What it holds open is shut."""
    with refusals_told():
        opened = directory.open_directory(data_dir)
        held = directory.lock(opened)
        try:
            shut, aside, kept = _restore(opened, file)
        finally:
            os.close(held)
    print(f"The records are those of the backup. {shut} grants that it held open will be shut when jitgate starts.")
    if aside is not None:
        print(f"The records that were here are in {aside}.")
    for name in kept:
        print(f"{name} is not as in the backup, and was left as it is here.")
    print(RIGHTS_ARE_BACK)


def _back_up(opened: DataDirectory, to: Path) -> None:
    # Not at the top: it loads what stands between us and databases.
    from jitgate.store import backups

    url = opened.database_url(directory.read_settings(opened))
    backups.file_of(url)
    if not to.parent.is_dir():
        raise Invalid("file", f"there is no directory {to.parent}", allowed="a file in one that exists")
    with tempfile.TemporaryDirectory(prefix=".jitgate-", dir=to.parent) as scratch:
        backups.copy(url, Path(scratch, RECORDS))
        made = Path(scratch, "backup")
        with made.open("xb") as file, tarfile.open(fileobj=file, mode="w") as archive:
            made.chmod(0o600)
            archive.add(Path(scratch, RECORDS), RECORDS, filter=_ours)
            for name in KEPT:
                if (opened.path / name).is_file():
                    archive.add(opened.path / name, name, filter=_ours)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(made, to)
        except FileExistsError:
            raise Conflict(f"{to} is there already, and no backup is written over: name another file.") from None
    write_private(opened.path / LAST, SystemClock().wall().isoformat().encode())


def _ours(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _restore(opened: DataDirectory, file: Path) -> tuple[int, Path | None, list[str]]:
    """How many grants were ended, where the former records are, and which files were left as they are."""
    # Not at the top: see above.
    from jitgate.store import backups

    with tempfile.TemporaryDirectory(prefix=".jitgate-", dir=opened.path) as scratch:
        new = Path(scratch, RECORDS)
        found, made_at = _unpack(file, new)
        public = opened.path / record_key.PUBLIC_FILE
        keys = public.read_bytes() if public.exists() else found.get(record_key.PUBLIC_FILE, b"")
        shut = end_all(f"sqlite:///{new}", keys, made_at)
        kept = [name for name, content in found.items() if not _put_back(opened.path / name, content)]
        records = backups.file_of(opened.database_url(directory.read_settings(opened)))
        aside = _set_aside(records)
        os.replace(new, records)
    return shut, aside, kept


def _unpack(file: Path, records: Path) -> tuple[Mapping[str, bytes], datetime]:
    """The files beside the records, which are written to a file of their own; and when the backup was made."""
    found: dict[str, bytes] = {}
    at = 0.0
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is None or member.name not in (RECORDS, *KEPT) or member.name in found:
                    raise _no_backup(file)
                if member.name == RECORDS:
                    at = member.mtime
                    with records.open("xb") as target:
                        shutil.copyfileobj(content, target)
                elif member.size > _LARGEST:
                    raise _no_backup(file)
                else:
                    found[member.name] = content.read()
    except (tarfile.TarError, OSError) as error:
        raise Invalid("file", f"{file} cannot be read: {error}", allowed="a file that `jitgate backup` made") from error
    if not records.exists():
        raise _no_backup(file)
    return found, datetime.fromtimestamp(at, UTC)


def _no_backup(file: Path) -> Invalid:
    return Invalid("file", f"{file} is no backup of jitgate", allowed="a file that `jitgate backup` made")


def end_all(
    url: str, keys: bytes, made_at: datetime | None = None, look: "Callable[[Tx], None]" = lambda _: None
) -> int:
    """End whatever records that were put back hold open or waiting, and say so in them; how many grants.

    `keys`: the record's public keys, as its file has them; `made_at`: when the backup was made, where that is known;
    `look`: first, at whether that may be. Raises what it raises, and Conflict for records that are not what was sealed.
    """
    # Not at the top: see above.
    from jitgate import audit
    from jitgate.audit import soundness
    from jitgate.connectors.hosts import on_site
    from jitgate.core.access import CloseReason
    from jitgate.service.closing import close_all
    from jitgate.store import grants
    from jitgate.store.database import Store

    def end(tx: "Tx") -> int:
        look(tx)
        finding = soundness.look(tx, keys.decode("ascii", "replace").split())
        if not finding.is_sound:
            raise Conflict(
                f"The record in this backup is not what was sealed: {finding.faults[0].what}. Restore another one."
            )
        of = f"of {made_at:%Y-%m-%d %H:%M} UTC" if made_at else "of a backup"
        ended = close_all(tx, grants.live_below(tx, "/"), CloseReason.REVOKED, f"the records {of} were restored")
        facts = {"backupOf": made_at.isoformat() if made_at else "", "by": on_site.who(), "ended": len(ended)}
        audit.record(tx, [audit.Event(audit.Operation.RESTORE, audit.Outcome.SUCCEEDED, "/", properties=facts)])
        return len(ended)

    store = Store.open(url, SystemClock())
    try:
        return store.write_now(end)
    finally:
        store.close()


def _put_back(path: Path, content: bytes) -> bool:
    """Whether the file is as in the backup now: what is there already is never replaced."""
    if path.exists():
        return path.read_bytes() == content
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return create_private(path, content)


def _set_aside(records: Path) -> Path | None:
    """Give the former records another name, with what SQLite keeps beside them; where they are."""
    if not records.exists():
        return None
    aside = records.with_name(f"{records.name}.before-{SystemClock().wall():%Y%m%dT%H%M%SZ}")
    for beside in ("-wal", "-shm", ""):
        former = records.with_name(records.name + beside)
        if former.exists():
            os.rename(former, aside.with_name(aside.name + beside))
    return aside
