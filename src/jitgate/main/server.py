"""``python -m jitgate.main.server``: the server's process, as the supervisor starts it.

First of all it gives up every right that it was started with; only then does it load what talks to strangers, and
before it serves them, the places that it could write to.
"""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from jitgate.config.parts import Part
from jitgate.core.errors import JitgateError
from jitgate.ops import directory, privileges
from jitgate.ops.confinement import confine
from jitgate.ops.directory import DataDirectory
from jitgate.ops.privileges import StillPrivileged

CANNOT_START = 3


def run() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="jitgate server")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--listening", type=int, required=True, help="descriptor of the listening socket")
    parser.add_argument("--control", type=int, required=True, help="descriptor of the socket to the supervisor")
    parser.add_argument("--role", type=Part, choices=list(Part), default=Part.ALL)
    options = parser.parse_args()
    # Until it is heard: it has certificates looked at, and would end who does not listen.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        privileges.drop_all()
        # Not at the top: this is most of jitgate and of what it stands on, and it shall never have had our rights.
        # Not after the next step: Python keeps what it compiles beside the source.
        from jitgate.main.house import House

        confine(_writable(DataDirectory(options.data_dir)))
        # SQLite puts what it sorts into files of its own; beyond the data directory there is no place left for them.
        os.environ["SQLITE_TMPDIR"] = str(options.data_dir)
        house = House(options.data_dir, socket.socket(fileno=options.listening), options.role)
        house.serve(socket.socket(fileno=options.control))
    except JitgateError as error:
        print(f"jitgate: {error.message}", file=sys.stderr)
        sys.exit(CANNOT_START)
    except StillPrivileged as error:
        sys.exit(f"jitgate server: it would keep rights that it must not have: {error}")


def _writable(opened: DataDirectory) -> set[Path]:
    """The data directory, the one that the database is in, and the one that heads of the record are kept in."""
    settings = directory.read_settings(opened)
    url = opened.database_url(settings)
    found = {opened.path}
    if not directory.is_shared(url):
        found.add(Path(urlsplit(url).path.removeprefix("/")).absolute().parent)
    if settings.record.heads_file is not None:
        found.add(settings.record.heads_file.parent)
    return found


if __name__ == "__main__":
    run()
