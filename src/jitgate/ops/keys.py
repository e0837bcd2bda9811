"""``jitgate keys``: the keys of an installation, which follow one another without a gap.

A key is made before it is used, and believed after it was used, for as long as what it signed may live. Both stand in
its file, so replicas that have copies of it go over at the same moment.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from jitgate.clock import SystemClock
from jitgate.core import duration
from jitgate.core.errors import Invalid
from jitgate.ops import directory
from jitgate.ops.command_line import SYSTEM_DIR, DataDir, refusals_told
from jitgate.ops.directory import DataDirectory
from jitgate.trust import keyset, links, record_key, signatures, succession
from jitgate.trust.files import write_private
from jitgate.trust.succession import Succession

SHARED_LEAD = timedelta(hours=1)
"""How long before its use a key is there, where it has to be copied to other replicas."""


class Name(StrEnum):
    """What is rotated: the stem of its file."""

    CA = "ca"
    SIGNING = "signing"
    LINKS = "links"
    RECORD = "record"
    LINK_CONTROLLER = "link-controller"
    LINK_ROOT = "link-root"


Follow = Callable[[Path, datetime, datetime], object]
"""Have another key follow, in a data directory: from when on, and what time it is. Raises Invalid, ValueError."""

Retire = Callable[[Path, datetime], int]
"""Have former keys count no more; how many. Raises Invalid."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`life`: how long a former one is believed; None: until it is retired, or has handed over; `former`: the same, for
    people; `read`: the content of its file as PEM, whatever form that has."""

    what: str
    former: str
    follow: Follow
    retire: Retire
    life: timedelta | None = None
    read: Callable[[bytes], bytes] = bytes


def _new_signing_key() -> bytes:
    # Not at the top: it loads most of what tokens stand on.
    from jitgate.identity import signing

    return signing.new_pem()


def _follow(name: Name, make: Callable[[], bytes], path: Path, since: datetime, now: datetime) -> None:
    later = _read(path, name).followed_by(make(), since, now)
    write_private(_file(path, name), succession.encode(later))


def _follow_record(path: Path, since: datetime, now: datetime) -> None:
    _follow(Name.RECORD, signatures.new_pem, path, since, now)
    record_key.ensure(path)  # Its public half is for everybody.


def _follow_certificates(path: Path, since: datetime, now: datetime) -> None:
    # Not at the top: it loads three megabytes.
    from jitgate.trust import certificates

    keyset.must_have_root(path)  # Hosts have to be told.
    certificates.follow(path, since, now)


def _retire_certificates(path: Path, now: datetime) -> int:
    from jitgate.trust import certificates

    keyset.must_have_root(path)
    return certificates.retire(path, now)


def _forget(name: Name, life: timedelta, path: Path, now: datetime) -> int:
    known = _read(path, name)
    kept = known.without_former(now, life)
    if gone := len(known.entries) - len(kept.entries):
        write_private(_file(path, name), succession.encode(kept))
    return gone


def _goes_by_itself(_path: Path, _now: datetime) -> int:
    raise Invalid("NAME", "the record's former key goes by itself, once it has handed over", allowed="another name")


KINDS = {
    Name.CA: Kind(
        "the authority of the server's certificate",
        "Who knows only the former goes on believing the server: it has certified the next one. Give ca.pem to clients "
        "in your own time, then retire it.",
        _follow_certificates,
        _retire_certificates,
    ),
    Name.SIGNING: Kind(
        "signs lent access tokens",
        "The former is believed for 15 minutes more.",
        partial(_follow, Name.SIGNING, _new_signing_key),
        partial(_forget, Name.SIGNING, timedelta()),
        timedelta(minutes=15),
    ),
    Name.LINKS: Kind(
        "signs the links in notifications",
        "The former is believed for 30 days more.",
        partial(_follow, Name.LINKS, links.new_pem),
        partial(_forget, Name.LINKS, timedelta()),
        links.LIFE,
        links.as_pem,
    ),
    Name.RECORD: Kind(
        "signs the heads of the record",
        "The former hands over; who has record.pub needs nothing new.",
        _follow_record,
        _goes_by_itself,
    ),
    Name.LINK_CONTROLLER: Kind(
        "signs what hosts are told",
        "Hosts are told of it now.",
        keyset.follow_controller,
        keyset.retire_controller,
    ),
    Name.LINK_ROOT: Kind(
        "the root key that hosts have pinned",
        "Hosts are told of it within a minute. The former signs until it is retired.",
        lambda path, _since, now: keyset.follow_root(path, now),
        lambda path, _now: keyset.retire_root(path),
    ),
}

keys = typer.Typer(help="The keys of this installation, and how they follow one another.", no_args_is_help=True)

NameArgument = Annotated[Name, typer.Argument(help="Which key; `jitgate keys ls` shows them.")]


@keys.command("rotate")
def rotate(
    name: NameArgument = Name.LINK_CONTROLLER,
    lead: Annotated[
        str | None,
        typer.Option(
            "--in", help="When the new key is used; without it: at once, or in 1h with PostgreSQL.", metavar="TIME"
        ),
    ] = None,
    data_dir: DataDir = SYSTEM_DIR,
) -> None:
    """Have another key follow. What the former one has signed goes on being believed; the server needs no restart."""
    with refusals_told():
        opened, now = directory.existing(data_dir), SystemClock().wall()
        since = _when(opened, lead, now)
        try:
            KINDS[name].follow(opened.path, since, now)
        except ValueError as error:
            raise Invalid("NAME", f"{name}: {error}") from None
    print(f"The next key is used from {since:%Y-%m-%d %H:%M:%S} UTC. {KINDS[name].former}")
    if _is_shared(opened):
        print(f"Copy {', '.join(_files_of(name))} from {opened.path} to all other replicas before that.")


@keys.command("retire")
def retire(name: NameArgument, data_dir: DataDir = SYSTEM_DIR) -> None:
    """Have former keys be believed no more from now on, as when one was stolen."""
    with refusals_told():
        opened = directory.existing(data_dir)
        gone = KINDS[name].retire(opened.path, SystemClock().wall())
    print(f"{gone} former keys are believed no more." if gone else "There is no former key.")
    if gone and _is_shared(opened):
        print(f"Copy {', '.join(_files_of(name))} from {opened.path} to all other replicas.")


@keys.command("ls")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False, data_dir: DataDir = SYSTEM_DIR
) -> None:
    """Show each key: what it is for, since when it is used, which one follows, which former ones are believed."""
    with refusals_told():
        opened = directory.existing(data_dir)
        now = SystemClock().wall()
        found = [_shown(name, kind, opened.path, now) for name, kind in KINDS.items()]
    print(json.dumps(found, indent=2) if as_json else "\n".join(map(_line, found)))


def forget_former(path: Path, now: datetime, *, has_handed_over: bool) -> int:
    """Take private keys out of the files of a data directory that sign nothing any more, and whose signatures need not
    be checked with them; how many. Raises Invalid.

    `has_handed_over`: whether the record's newest head is by its key of now.
    """
    gone = sum(_forget(name, kind.life, path, now) for name, kind in KINDS.items() if kind.life is not None)
    gone += _forget(Name.CA, timedelta(), path, now)  # Former authorities stay in ca.pem; their keys are of no use.
    return gone + (_forget(Name.RECORD, timedelta(), path, now) if has_handed_over else 0)


def _read(path: Path, name: Name) -> Succession[bytes]:
    file = _file(path, name)
    try:
        return succession.parse(KINDS[name].read(file.read_bytes()))
    except FileNotFoundError:
        raise Invalid("--data-dir", f"there is no {file}; start `jitgate serve` once, or bring it back") from None
    except (OSError, ValueError) as error:
        raise Invalid("--data-dir", f"{file} cannot be used: {error}") from error


def _file(path: Path, name: Name) -> Path:
    return path / f"{name}.key"


def _files_of(name: Name) -> list[str]:
    """What replicas must have alike when a key was rotated."""
    beside = {
        Name.CA: ["ca.pem", "ca-handover.pem", "link-keys.json"],
        Name.RECORD: ["record.pub"],
        Name.LINK_CONTROLLER: ["link-keys.json"],
        Name.LINK_ROOT: ["link-keys.json"],
    }
    return [f"{name}.key", *beside.get(name, ())]


def _when(opened: DataDirectory, lead: str | None, now: datetime) -> datetime:
    default = SHARED_LEAD if _is_shared(opened) else timedelta()
    return now + (default if lead is None else duration.parse_short(lead, "--in").length)


def _is_shared(opened: DataDirectory) -> bool:
    return directory.is_shared(opened.database_url(directory.read_settings(opened)))


def _shown(name: Name, kind: Kind, path: Path, now: datetime) -> dict[str, Any]:
    file = _file(path, name)
    shown: dict[str, Any] = {"name": str(name), "for": kind.what, "isHere": file.exists()}
    if not file.exists():
        return shown
    known = _read(path, name)
    waiting = known.waits(now)
    used = [entry for entry in known.entries if entry.is_used(now)]
    ends = [entry.since + kind.life for entry in used[1:] if entry.since and kind.life is not None]
    since = used[-1].since if used else None
    return shown | {
        "usedSince": since.isoformat() if since else None,
        "nextFrom": waiting.since.isoformat() if waiting and waiting.since else None,
        "former": max(0, len(used) - 1),
        "formerBelievedUntil": [end.isoformat() for end in ends if end > now],
    }


def _line(shown: dict[str, Any]) -> str:
    text = f"{shown['name']:<16} {shown['for']:<42}"
    if not shown["isHere"]:
        return f"{text} kept elsewhere"
    since = shown["usedSince"]
    text += f" used since {since[:16]}" if since else " the first one"
    if shown["nextFrom"]:
        text += f"; the next from {shown['nextFrom'][:16]}"
    if shown["former"]:
        until = "".join(f", until {end[:16]}" for end in shown["formerBelievedUntil"])
        text += f"; {shown['former']} former{until}"
    return text
