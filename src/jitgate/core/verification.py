"""Whether a sealed file is what was sealed: nothing changed, missing, added or moved. Needs the file and public keys.

The file is read line by line and may be of any length; what is kept in memory is one batch. Its lines::

    {"address":…,"sequence":41,…}                     an event
    {"path":["…","…"],"sequence":41}                  its proof of inclusion, where others are left out
    {"head":{"count":…,"first":…,…},"signature":"…"}  the head of the batch, after its events

Heads stand without a gap, up to the newest that was known when the file was written.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jitgate.core import merkle, record_expiry
from jitgate.core.record import MOST_EVENTS, NOTHING_BEFORE, Head, read_head
from jitgate.core.record_expiry import Said
from jitgate.core.record_trust import IsSigned, Trust

LONGEST_LINE = 64 << 20
"""Bytes."""

MOST_FAULTS = 100
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and at which line of the file, counted from 1; 0: at its end."""

    line: int
    what: str


@dataclass
class Finding:
    """What a file was found to be.

    `left_out`  how many events of batches in the file it leaves out, with proof that the others belong there
    `proofs`    how many events hold something that a host has signed itself
    `expired`   events up to this sequence have been deleted by retention, as an event says that who seals has signed
    `unsigned`  how many events say so that whoever seals has not signed: they excuse nothing
    """

    events: int = 0
    heads: int = 0
    left_out: int = 0
    first: Head | None = None
    last: Head | None = None
    expired: int = 0
    unsigned: int = 0
    proofs: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True)
class _Leaf:
    """An event of the batch that is being read. `path`: its own proof, where it has one."""

    sequence: int
    hashed: bytes
    path: tuple[bytes, ...] | None = None


class Verifier:
    """Reads a file once, from its first line to its last.

    `trust`  knows whose heads count
    `known`  digests of heads that were kept elsewhere, by number: the file must hold them, or begin after them
    `check_proof`  whether a host that is to be believed has signed something; None: nobody looks at that
    `part`   whether the file may leave out events (of which it proves that what is there belongs there)
    """

    def __init__(
        self,
        trust: Trust,
        known: Mapping[int, str] | None = None,
        *,
        part: bool = False,
        check_proof: IsSigned | None = None,
    ) -> None:
        self._trust = trust
        self._check_proof = check_proof
        self._known = known or {}
        self._part = part
        self._batch: list[_Leaf] = []
        self._said: list[Said | None] = []
        self._absent: Head | None = None
        self._is_excused = False
        self._line = 0
        self.finding = Finding()

    def verify(self, lines: Iterable[bytes]) -> Finding:
        """Read all lines; what the file was found to be."""
        for line in lines:
            self._line += 1
            self._read(line.rstrip(b"\r\n"))
            if len(self.finding.faults) >= MOST_FAULTS:
                return self.finding
        self._line = 0
        self._end()
        return self.finding

    # --- lines ----------------------------------------------------------------------------------------

    def _read(self, line: bytes) -> None:
        values = _parse(line)
        if values is None:
            self._fault("this is not a line of a sealed file")
        elif "head" in values:
            self._read_head(line)
        elif values.keys() == {"path", "sequence"}:
            self._read_path(values)
        else:
            self._read_event(line, values)

    def _read_event(self, line: bytes, values: Mapping[str, Any]) -> None:
        sequence = values.get("sequence")
        if not isinstance(sequence, int) or isinstance(sequence, bool):
            self._fault("an event without a sequence was never sealed")
        elif self._batch and sequence <= self._batch[-1].sequence:
            self._fault(f"event {sequence} stands after event {self._batch[-1].sequence}")
        elif len(self._batch) >= MOST_EVENTS:
            self._fault("more events than a batch can hold, and no head")
        else:
            self._batch.append(_Leaf(sequence, merkle.leaf(line)))
            if values.get("operation") == record_expiry.OPERATION:
                self._said.append(record_expiry.read(values.get("properties")))
            self._read_proof(sequence, values)

    def _read_proof(self, sequence: int, values: Mapping[str, Any]) -> None:
        """What a host has signed stands for itself, whoever wrote the event around it."""
        properties = values.get("properties")
        if self._check_proof is None or not isinstance(properties, dict) or "proof" not in properties:
            return
        self.finding.proofs += 1
        proof = _proof(properties["proof"])
        if proof is None or not self._check_proof(*proof):
            self._fault(f"the proof in event {sequence} is not signed by a host that you trust")

    def _read_path(self, values: Mapping[str, Any]) -> None:
        path = _hashes(values["path"])
        if path is None or not self._batch or self._batch[-1].sequence != values["sequence"]:
            self._fault("a proof of inclusion that belongs to no event")
            return
        self._batch[-1] = _Leaf(self._batch[-1].sequence, self._batch[-1].hashed, path)

    def _read_head(self, line: bytes) -> None:
        batch, self._batch = self._batch, []
        said, self._said = self._said, []
        found = read_sealed_head(line)
        if found is None:
            self._fault("this is not a head")
            return
        head, signature = found
        if not self._trust.admits(head, signature):
            self._fault(f"head {head.number} is not signed by a key that you trust")
            return
        self._believe(said, head, self.finding.last)
        self._follow(head)
        self._match(head, batch)

    # --- what must hold ---------------------------------------------------------------------------------

    def _follow(self, head: Head) -> None:
        """The chain of heads: each one names the one before."""
        before, self.finding.last = self.finding.last, head
        self.finding.heads += 1
        if self._known.get(head.number, head.digest) != head.digest:
            self._fault(f"head {head.number} is not the one that was kept elsewhere: there are two records")
        if before is None:
            self.finding.first = head
            if head.number > 1 and not self._part:
                self._fault(f"the file begins at head {head.number}: what is before it is missing")
            if head.number == 1 and (head.first, head.previous) != (1, NOTHING_BEFORE):
                self._fault("the first head is not the beginning of a record")
        elif head.number != before.number + 1:
            self._fault(f"head {head.number} stands after head {before.number}: heads are missing, or moved")
        elif (head.first, head.previous) != (before.last + 1, before.digest):
            self._fault(f"head {head.number} does not follow on head {before.number}")

    def _believe(self, said: list[Said | None], head: Head, before: Head | None) -> None:
        """What the events of a batch say of retention, where who sealed it, or the batch before, has signed that."""
        keys = {head.key, before.key} if before else {head.key}
        signed = [one.expiry for one in said if one is not None and one.is_signed(keys, self._trust.is_signed)]
        self.finding.unsigned += len(said) - len(signed)
        self.finding.expired = max([self.finding.expired, *(one.through for one in signed)])
        self._is_excused |= self._absent is not None and any(one.excuses(self._absent) for one in signed)

    def _match(self, head: Head, batch: list[_Leaf]) -> None:
        """The events of a batch: those that were sealed, all of them, or each with its proof."""
        if outside := [leaf.sequence for leaf in batch if not head.first <= leaf.sequence <= head.last]:
            self._fault(f"event {outside[0]} is not one of head {head.number}")
            return
        self.finding.events += len(batch)
        if len(batch) == head.count:
            if merkle.root([leaf.hashed for leaf in batch]).hex() != head.root:
                self._fault(f"events {head.first} to {head.last} are not those that were sealed: one was changed")
            return
        self.finding.left_out += head.count - len(batch)
        self._miss(head, len(batch))
        for leaf in batch:
            self._match_leaf(head, leaf)

    def _miss(self, head: Head, present: int) -> None:
        """Events may be missing where a part was asked for; else only at the beginning, if retention deleted them."""
        if self._part:
            return
        if self.finding.events:
            self._fault(f"{head.count - present} events of head {head.number} are missing")
        else:
            self._absent = head

    def _match_leaf(self, head: Head, leaf: _Leaf) -> None:
        if leaf.path is None:
            self._fault(f"events of head {head.number} are missing, and event {leaf.sequence} has no proof")
        elif merkle.root_from(leaf.hashed, leaf.sequence - head.first, head.count, leaf.path) != bytes.fromhex(
            head.root
        ):
            self._fault(f"event {leaf.sequence} is not the one that was sealed")

    def _end(self) -> None:
        if self._batch:
            self._fault(f"event {self._batch[0].sequence} and what follows it have no head: they were never sealed")
        if self.finding.last is None:
            self._fault("there is no head in this file")
            return
        if self._absent is not None and not self._is_excused:
            self._fault(
                f"events up to {self._absent.last} are missing, and no event that who sealed it has signed says that "
                "they were old enough for retention to delete them"
            )
        newest = max(self._known, default=0)
        if newest > self.finding.last.number:
            self._fault(f"the file ends at head {self.finding.last.number}; head {newest} was kept elsewhere")

    def _fault(self, what: str) -> None:
        self.finding.faults.append(Fault(self._line, what))


def read_sealed_head(line: bytes) -> tuple[Head, str] | None:
    """A head with its signature, which is for the caller to check; None for what is none."""
    values = _parse(line)
    if values is None or values.keys() != {"head", "signature"} or not isinstance(values["signature"], str):
        return None
    try:
        return read_head(values["head"]), values["signature"]
    except ValueError:
        return None


def _parse(line: bytes) -> Mapping[str, Any] | None:
    """A line as an object; None for what is none, or says one thing twice."""
    if len(line) > LONGEST_LINE:
        return None
    try:
        values = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _proof(value: object) -> tuple[str, str, bytes, str] | None:
    """Signer, purpose, bytes and signature; None for what is no proof."""
    try:
        signer, purpose, signed, signature = (value[name] for name in ("signer", "purpose", "signed", "signature"))  # type: ignore[index]
        return (str(signer), str(purpose), base64.b64decode(signed, validate=True), str(signature))
    except (KeyError, TypeError, ValueError):
        return None


def _hashes(value: object) -> tuple[bytes, ...] | None:
    if not isinstance(value, list) or len(value) > _DEEPEST:
        return None
    try:
        found = tuple(bytes.fromhex(each) for each in value)
    except (TypeError, ValueError):
        return None
    return found if all(len(each) == 32 for each in found) else None
