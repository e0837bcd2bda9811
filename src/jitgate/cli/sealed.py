"""Sealed files on this machine: what `jitgate activity verify` reads and finds. No server is asked."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jitgate.cli.exits import Failure, NotThere, Usage
from jitgate.cli.place import data_directories
from jitgate.cli.server import Json
from jitgate.core.record_trust import Trust
from jitgate.core.verification import LONGEST_LINE, Finding, Verifier, read_sealed_head
from jitgate.trust import signatures
from jitgate.trust.record_key import PUBLIC_FILE

_STDIN = "-"


def read_host_keys(files: Sequence[Path]) -> frozenset[str]:
    """The keys of hosts to trust. Raises Usage, NotThere."""
    return frozenset(key for file in files for key in _keys_in(file))


def read_keys(files: Sequence[Path], data_dir: Path | None) -> frozenset[str]:
    """The public keys to trust: those in the files, else in the data directory. Raises Usage, NotThere."""
    found = {key for file in files or [_own_key(data_dir)] for key in _keys_in(file)}
    if not found:
        raise Usage(f"There is no key in {', '.join(map(str, files))}. Give the server's {PUBLIC_FILE}.")
    return frozenset(found)


def verify(
    file: str, keys: frozenset[str], kept: Sequence[Path], *, part: bool, hosts: frozenset[str] = frozenset()
) -> Finding:
    """What a sealed file was found to be. `hosts`: keys of hosts; none: each is believed that it is its own.

    Raises NotThere, Usage.
    """

    def is_signed_by_host(signer: str, purpose: str, signed: bytes, signature: str) -> bool:
        is_known = not hosts or signer in hosts
        return is_known and purpose.isascii() and signatures.is_signed(signer, purpose, signed, signature)

    known = {number: digest for one in kept for number, digest in _heads_in(one, keys)}
    with _opened(file) as lines:
        trust = Trust(keys, signatures.is_signed)
        verifier = Verifier(trust, known, part=part, check_proof=is_signed_by_host)
        return verifier.verify(_lines(lines))


def as_text(finding: Finding) -> str:
    """What was found, for people."""
    if not finding.is_sound:
        return "\n".join([f"{_where(fault.line)}: {fault.what}." for fault in finding.faults])
    first, last = finding.first, finding.last
    assert first is not None
    assert last is not None
    which = f"number {first.number} to {last.number}, the last one sealed at {last.at.isoformat()}"
    lines = [f"Sound: {finding.events} events under {finding.heads} signed heads, {which}."]
    if finding.proofs:
        lines.append(
            f"{finding.proofs} of them hold a report that a host has signed itself, and each signature is right."
        )
    if finding.expired:
        lines.append(f"Retention has deleted events up to sequence {finding.expired}; their heads are here.")
    if finding.unsigned:
        lines.append(
            f"{finding.unsigned} of them say that retention deleted events, and who sealed them has not signed that: "
            "they excuse nothing that is missing."
        )
    if finding.left_out > finding.expired:
        lines.append(f"{finding.left_out} events of these batches are not in this file.")
    return "\n".join(lines)


def as_json(finding: Finding) -> Json:
    """The same for programs."""
    return {
        "sound": finding.is_sound,
        "events": finding.events,
        "heads": finding.heads,
        "leftOut": finding.left_out,
        "proofs": finding.proofs,
        "expiredThrough": finding.expired,
        "unsignedExpiries": finding.unsigned,
        "lastHead": None if finding.last is None else {"number": finding.last.number, "digest": finding.last.digest},
        "faults": [{"line": fault.line, "message": fault.what} for fault in finding.faults],
    }


def check_sound(finding: Finding) -> None:
    """Raises Failure unless all is well."""
    if not finding.is_sound:
        raise Failure("The file is not what was sealed, or not all of it. Keep it, and ask for another export.")


def _where(line: int) -> str:
    return f"line {line}" if line else "at the end"


def _own_key(data_dir: Path | None) -> Path:
    for directory in data_directories(data_dir, os.environ):
        if (directory / PUBLIC_FILE).exists():
            return directory / PUBLIC_FILE
    raise Usage(f"Which key is to be trusted? Give the server's {PUBLIC_FILE} with --key.")


def _keys_in(file: Path) -> list[str]:
    try:
        return [signatures.check_public(line) for line in file.read_text("ascii").split()]
    except OSError as error:
        raise NotThere(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise Usage(
            f"{file} holds something that is not a public key ({error}). Give the server's {PUBLIC_FILE}."
        ) from None


def _heads_in(file: Path, keys: frozenset[str]) -> Iterator[tuple[int, str]]:
    trust = Trust(keys, signatures.is_signed)
    with _opened(str(file)) as lines:
        for number, line in enumerate(_lines(lines), 1):
            found = read_sealed_head(line)
            if found is None or not trust.admits(*found):
                raise Usage(f"{file}, line {number}, is no head signed by a key that you trust. Check --key.")
            yield found[0].number, found[0].digest


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Line by line, and never more of one than a line may have."""
    while line := file.readline(LONGEST_LINE + 2):
        yield line


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == _STDIN:
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as opened:
            yield opened
    except OSError as error:
        raise NotThere(f"{file} cannot be read: {error.strerror}.") from None
