"""What `jitgate login` keeps: where the server is, how it proves itself, and a token. For its owner alone, mode 600."""

import json
from collections.abc import Mapping
from pathlib import Path

from jitgate.cli.place import Place, kept_file
from jitgate.trust.files import write_private


def keep(environ: Mapping[str, str], place: Place) -> Path:
    """Keep a place; where that is."""
    file = kept_file(environ)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca = str(place.ca.absolute()) if place.ca else None
    write_private(file, json.dumps({"url": place.url, "token": place.token, "ca": ca}, indent=2).encode())
    return file


def forget(environ: Mapping[str, str]) -> bool:
    """Forget what is kept. False: there was nothing."""
    file = kept_file(environ)
    there = file.exists()
    file.unlink(missing_ok=True)
    return there
