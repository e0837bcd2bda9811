"""``jitgate db``: what is done to the database beside the servers that work on it."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from jitgate.clock import SystemClock
from jitgate.core.errors import Conflict
from jitgate.core.verification import Finding
from jitgate.ops import directory
from jitgate.ops.backup import RIGHTS_ARE_BACK, end_all
from jitgate.ops.command_line import SYSTEM_DIR, DataDir, refusals_told
from jitgate.ops.directory import DataDirectory
from jitgate.trust import record_key

if TYPE_CHECKING:
    from jitgate.store.database import Tx

db = typer.Typer(help="The database: tables up to date, to PostgreSQL, back to what it was.", no_args_is_help=True)
_WAITS = 3


@db.command("copy")
def copy(
    to: Annotated[
        str,
        typer.Option(
            "--to", envvar="JITGATE_COPY_TO", help="postgresql://USER@HOST/NAME, of an empty database.", metavar="URL"
        ),
    ] = "",
    data_dir: DataDir = SYSTEM_DIR,
) -> None:
    """Move the records from their file to PostgreSQL, while jitgate is stopped. What is open stays so, and shuts on
    time."""
    with refusals_told():
        opened = directory.existing(data_dir)
        held = directory.lock(opened)
        try:
            rows, sealed = _move(opened, to)
        finally:
            os.close(held)
    for table, count in rows.items():
        print(f"{table:24}{count:>10}")
    print(f"Every row is there. {sealed.heads} heads seal {sealed.events} events of the record.")
    print("Now set store.url in jitgate.toml, or JITGATE_DATABASE, to the target, and start jitgate.")
    print("The file stays as it was, and is not taken up again.")


@db.command("migrate")
def migrate(
    post: Annotated[
        bool, typer.Option("--post", help="Also take away what older versions needed; 3 while one of them runs.")
    ] = False,
    data_dir: DataDir = SYSTEM_DIR,
) -> None:
    """Bring the tables up to date for this version, as its first start would. Older replicas work on."""
    # Not at the top: it loads what stands between us and databases.
    from jitgate.store.database import Store

    with refusals_told():
        opened = directory.existing(data_dir)
        store = Store.open(opened.database_url(directory.read_settings(opened)), SystemClock())
        try:
            older = store.bring_further() if post else []
        finally:
            store.close()
    if older:
        print(f"The tables are as this version needs them. The rest waits for older replicas: {', '.join(older)}.")
        raise typer.Exit(_WAITS)
    print("The tables are as this version needs them.")


@db.command("restored")
def restored(data_dir: DataDir = SYSTEM_DIR) -> None:
    """Say that the database was put back as it was earlier, by other means than `jitgate restore`, before anything of
    jitgate starts: what it holds open is shut."""
    with refusals_told():
        opened = directory.existing(data_dir)
        held = directory.lock(opened)
        try:
            url = opened.database_url(directory.read_settings(opened))
            keys = (opened.path / record_key.PUBLIC_FILE).read_bytes()
            shut = end_all(url, keys, look=_nobody_works_on_it)
        finally:
            os.close(held)
    print(f"{shut} grants that the database held open will be shut when jitgate starts.")
    print(RIGHTS_ARE_BACK)


def _nobody_works_on_it(tx: "Tx") -> None:
    """Raises Conflict where a replica does: it has begun to open what stands in the database."""
    # Not at the top: see above.
    from jitgate.store import presence

    if at_work := sum(presence.by_part(tx).values()):
        raise Conflict(
            f"{at_work} replicas work on this database, or did within a minute. Stop them, then wait that long."
        )


def _move(opened: DataDirectory, target: str) -> tuple[dict[str, int], Finding]:
    # Not at the top: see above.
    from jitgate.audit import soundness
    from jitgate.store import copying
    from jitgate.store.database import Tx

    sealed = [Finding()]

    def check(tx: Tx) -> None:
        sealed[0] = soundness.look(tx, (opened.path / record_key.PUBLIC_FILE).read_text("ascii").split())
        if not sealed[0].is_sound:
            raise Conflict(
                f"The record is not what was sealed, so nothing was copied: {sealed[0].faults[0].what}."
                " `jitgate activity verify` tells all."
            )

    source = opened.database_url(directory.read_settings(opened))
    return dict(copying.move(source, target, SystemClock(), check)), sealed[0]
