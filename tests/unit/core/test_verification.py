"""Whatever is done to a sealed file, it is noticed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.core import merkle, record_expiry
from jitgate.core.record import FOLLOWS, NOTHING_BEFORE, PURPOSE, Head, encode, moment
from jitgate.core.record_expiry import OPERATION, Expiry
from jitgate.core.record_trust import Trust, joined
from jitgate.core.verification import Finding, Verifier, read_sealed_head
from jitgate.trust import signatures
from jitgate.trust.signatures import SigningKey

KEY, FOREIGN_KEY = signatures.make(), signatures.make()
START = datetime(2030, 1, 1, tzinfo=UTC)
FIELDS = [
    *("address", "caller", "correlation", "credential", "id", "operation", "outcome"),
    *("principal", "properties", "resource", "sequence", "timeUtc"),
]


def event(sequence: int, **other: Any) -> dict[str, Any]:
    made = {
        "address": "203.0.113.7/32",
        "caller": "alice",
        "correlation": f"c{sequence}",
        "credential": "token",
        "id": sequence,
        "operation": "Jitgate.Access/grants/open",
        "outcome": "Succeeded",
        "principal": "uid",
        "properties": {"port": 22, "sources": ["203.0.113.7/32"]},
        "resource": "/a",
        "sequence": sequence,
        "timeUtc": moment(START),
    }
    return {**made, **other}


def sealed(
    sizes: Sequence[int], key: SigningKey = KEY, shown: Sequence[int] | None = None, caller: str = "alice"
) -> list[bytes]:
    """A file of batches of these sizes. `shown`: only these sequences, with proofs; None: all."""
    lines: list[bytes] = []
    before: Head | None = None
    for number, size in enumerate(sizes, 1):
        first = before.last + 1 if before else 1
        events = [encode(event(sequence, caller=caller)) for sequence in range(first, first + size)]
        leaves = [merkle.leaf(line) for line in events]
        for at, line in enumerate(events):
            if shown is None:
                lines.append(line)
            elif first + at in shown:
                path = [each.hex() for each in merkle.path(leaves, at)]
                lines += [line, encode({"path": path, "sequence": first + at})]
        digest = before.digest if before else NOTHING_BEFORE
        at_time = START + timedelta(seconds=number)
        before = Head(number, first, size, merkle.root(leaves).hex(), digest, at_time, key.public)
        lines.append(before.line(key.sign(PURPOSE, before.body)))
    return lines


def trust() -> Trust:
    return Trust([KEY.public], signatures.is_signed)


def verify(lines: Sequence[bytes], part: bool = False, known: dict[int, str] | None = None) -> Finding:
    return Verifier(trust(), known, part=part).verify(lines)


def digests(lines: Sequence[bytes]) -> dict[int, str]:
    """The digests of the heads in a file, by number."""
    found = {}
    for line in lines:
        values = json.loads(line)
        if "head" in values:
            head = Head(**{**values["head"], "at": datetime.fromisoformat(values["head"]["at"])})
            found[head.number] = head.digest
    return found


SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@given(sizes=SIZES)
def test_a_whole_record_is_found_sound(sizes: list[int]) -> None:
    found = verify(sealed(sizes))
    assert found.is_sound, found.faults
    assert (found.events, found.heads, found.left_out) == (sum(sizes), len(sizes), 0)


@given(sizes=SIZES, data=st.data(), field=st.sampled_from(FIELDS))
def test_a_change_of_any_field_of_any_event_is_found(sizes: list[int], data: st.DataObject, field: str) -> None:
    lines = sealed(sizes)
    at = data.draw(st.sampled_from([at for at, line in enumerate(lines) if b'"head"' not in line]))
    values = json.loads(lines[at])
    values[field] = data.draw(
        st.one_of(st.none(), st.text(max_size=3), st.integers(-2, 50), st.just({"port": 23})).filter(
            lambda other: other != values[field]
        )
    )
    assert not verify([*lines[:at], encode(values), *lines[at + 1 :]]).is_sound


@given(sizes=SIZES, data=st.data())
def test_a_change_of_any_byte_is_found(sizes: list[int], data: st.DataObject) -> None:
    lines = sealed(sizes)
    at = data.draw(st.integers(0, len(lines) - 1))
    line = bytearray(lines[at])
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    assert not verify([*lines[:at], bytes(line), *lines[at + 1 :]]).is_sound


@given(sizes=SIZES, data=st.data())
def test_a_line_that_is_missing_or_stands_twice_is_found(sizes: list[int], data: st.DataObject) -> None:
    lines = sealed(sizes)
    known = digests(lines)
    at = data.draw(st.integers(0, len(lines) - 1))
    assert not verify([*lines[:at], *lines[at + 1 :]], known=known).is_sound
    assert not verify([*lines[:at], lines[at], *lines[at:]], known=known).is_sound


@given(sizes=SIZES, data=st.data())
def test_any_other_order_is_found(sizes: list[int], data: st.DataObject) -> None:
    lines = sealed(sizes)
    moved = data.draw(st.permutations(lines))
    assert verify(moved).is_sound == (moved == lines)


@given(sizes=SIZES, data=st.data())
def test_an_event_that_was_put_in_is_found(sizes: list[int], data: st.DataObject) -> None:
    lines = sealed(sizes)
    at, sequence = data.draw(st.integers(0, len(lines))), data.draw(st.integers(-1, sum(sizes) + 2))
    put_in = encode(event(sequence, caller="mallory"))
    assert not verify([*lines[:at], put_in, *lines[at:]]).is_sound


@given(sizes=SIZES, data=st.data())
def test_an_end_that_was_cut_off_is_found_by_a_head_that_was_kept_elsewhere(
    sizes: list[int], data: st.DataObject
) -> None:
    lines = sealed([*sizes, 2])
    known = digests(lines)
    heads = [at for at, line in enumerate(lines) if b'"head"' in line]
    cut = lines[: data.draw(st.sampled_from(heads[:-1])) + 1]
    assert verify(cut).is_sound
    found = verify(cut, known=known)
    assert "kept elsewhere" in found.faults[0].what


@given(sizes=SIZES, others=SIZES)
def test_a_record_that_was_written_anew_with_the_right_key_does_not_fit_heads_kept_elsewhere(
    sizes: list[int], others: list[int]
) -> None:
    kept, anew = digests(sealed(sizes)), sealed(others)
    agree = all(digests(anew).get(number) == digest for number, digest in kept.items())
    assert verify(anew, known=kept).is_sound == agree


@pytest.mark.parametrize("other", [sealed([2, 3], caller="bob"), sealed([4, 3])])
def test_two_records_by_the_same_key_cannot_be_spliced(other: list[bytes]) -> None:
    """The second batch of one after the first of another: genuine, and no record."""
    first, second = sealed([2, 3])[:3], other[-4:]
    found = verify([*first, *second])
    assert "does not follow on head 1" in found.faults[0].what


def test_a_record_by_another_key_is_not_believed() -> None:
    assert "not signed by a key that you trust" in verify(sealed([2, 1], FOREIGN_KEY)).faults[0].what


@given(sizes=SIZES, data=st.data())
def test_a_part_proves_that_each_of_its_events_belongs_there(sizes: list[int], data: st.DataObject) -> None:
    every = range(1, sum(sizes) + 1)
    shown = data.draw(st.lists(st.sampled_from(every), unique=True, min_size=1))
    lines = sealed(sizes, shown=shown)
    found = verify(lines, part=True)
    assert found.is_sound, found.faults
    assert (found.events, found.left_out) == (len(shown), sum(sizes) - len(shown))
    assert verify(lines).is_sound == (len(shown) == len(every))


@given(sizes=SIZES, data=st.data())
def test_in_a_part_a_change_of_any_byte_is_found_too(sizes: list[int], data: st.DataObject) -> None:
    every = range(1, sum(sizes) + 1)
    lines = sealed([*sizes, 2], shown=data.draw(st.lists(st.sampled_from(every), unique=True, min_size=1)))
    events = [at for at, line in enumerate(lines) if b'"head"' not in line and b'"path"' not in line]
    at = data.draw(st.sampled_from([at for at in events if b'"path":[]' not in lines[at + 1]] or events))
    line = bytearray(lines[at])
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1
    alone = lines[at + 1].startswith(b'{"path":[]')
    assert not verify([*lines[:at], bytes(line), *lines[at + 1 :]], part=True).is_sound or alone


def test_a_part_without_its_proof_or_with_that_of_another_event_is_not_believed() -> None:
    lines = sealed([4], shown=[1, 2])
    assert not verify([lines[0], *lines[2:]], part=True).is_sound
    other = json.loads(lines[1]) | {"path": json.loads(lines[3])["path"]}
    assert not verify([lines[0], encode(other), *lines[2:]], part=True).is_sound


WEEK = timedelta(days=7)


def expired(through: int, key: SigningKey = KEY, after: timedelta = WEEK, **other: Any) -> list[bytes]:
    """A record whose first two batches have gone, and which says how far: by a key, after so long, and otherwise so."""
    lines = sealed([2, 3])
    heads = [line for line in lines if b'"head"' in line]
    before = [Head(**{**v, "at": datetime.fromisoformat(v["at"])}) for v in (json.loads(h)["head"] for h in heads)][-1]
    expiry = replace(Expiry.of(before, WEEK, before.at + after), through=through, **other)
    signature = key.sign(record_expiry.PURPOSE, expiry.body)
    said = encode(event(6, operation=OPERATION, properties=expiry.properties(key.public, signature)))
    root = merkle.root([merkle.leaf(said)]).hex()
    head = replace(before, number=3, first=6, count=1, root=root, previous=before.digest)
    return [*heads, said, head.line(KEY.sign(PURPOSE, head.body))]


def test_what_retention_deleted_may_be_missing_and_nothing_else() -> None:
    found = verify(expired(5))
    assert found.is_sound, found.faults
    assert (found.events, found.expired) == (1, 5)
    assert not verify(expired(4)).is_sound
    assert not verify(expired(5)[1:]).is_sound
    assert not verify(expired(5)[2:]).is_sound


def test_what_was_signed_by_nobody_who_seals_excuses_nothing() -> None:
    """Whoever has the database, and no key, has their own event sealed like any other."""
    found = verify(expired(5, FOREIGN_KEY))
    [fault] = found.faults
    assert fault.what == (
        "events up to 5 are missing, and no event that who sealed it has signed says that they were old enough for "
        "retention to delete them"
    )
    assert (found.expired, found.unsigned) == (0, 1)


@pytest.mark.parametrize("properties", [[], {}, {"through": 9}, {"through": 9, "head": 1, "retentionDays": 1}])
def test_an_event_about_retention_without_a_signature_is_counted(properties: object) -> None:
    line = encode(event(1, operation=OPERATION, properties=properties))
    head = Head(1, 1, 1, merkle.root([merkle.leaf(line)]).hex(), NOTHING_BEFORE, START, KEY.public)
    found = verify([line, head.line(KEY.sign(PURPOSE, head.body))])
    assert found.is_sound
    assert (found.expired, found.unsigned) == (0, 1)


def test_events_that_were_not_old_enough_or_are_of_another_head_are_not_excused() -> None:
    assert not verify(expired(5, after=WEEK - timedelta(microseconds=1))).is_sound
    assert not verify(expired(5, digest="0" * 64)).is_sound
    assert not verify(expired(5, head=1)).is_sound
    assert not verify(expired(6)).is_sound


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"x",
        b"\xff",
        b'{"sequence":true}',
        b'{"head":1,"head":{}}',
        b"[" * 100_000,
        b'{"path":1,"sequence":1}',
    ],
)
def test_what_is_no_line_of_a_record_is_a_fault_and_no_crash(line: bytes) -> None:
    assert not verify([line, *sealed([1])]).is_sound
    assert not verify([*sealed([1]), line]).is_sound


def test_an_empty_file_proves_nothing() -> None:
    assert not verify([]).is_sound


@pytest.mark.parametrize(
    ("change", "sound"),
    [
        ({}, True),
        ({"signer": FOREIGN_KEY.public}, False),
        ({"signed": "e30="}, False),
        ({"signed": "?"}, False),
        ({"signature": "A" * 86}, False),
        ({"purpose": "another use"}, False),
        ({"signer": None}, False),
    ],
)
def test_what_a_host_has_signed_is_checked_beside_what_the_server_sealed(change: dict[str, Any], sound: bool) -> None:
    """Sealed or not: a server that lies about a host is found out."""
    host = signatures.make()
    proof = {"signer": host.public, "purpose": "report", "signed": "Wzdd", "signature": host.sign("report", b"[7]")}
    lines = sealed([1])
    line = encode(event(1, properties={"proof": {**proof, **change}}))
    head = replace(read(lines[-1]), root=merkle.root([merkle.leaf(line)]).hex())
    verifier = Verifier(trust(), check_proof=signatures.is_signed)
    found = verifier.verify([line, head.line(KEY.sign(PURPOSE, head.body))])
    assert (found.is_sound, found.proofs) == (sound, 1), found.faults


def chained(*keys: SigningKey, vouchers: Mapping[int, SigningKey] | None = None) -> list[bytes]:
    """A file whose heads are by these keys, one each. `vouchers`: who vouches for another key instead of the former."""
    lines: list[bytes] = []
    before: Head | None = None
    for number, key in enumerate(keys, 1):
        line = encode(event(number))
        digest, at = (before.digest if before else NOTHING_BEFORE), START + timedelta(seconds=number)
        head = Head(number, number, 1, merkle.root([merkle.leaf(line)]).hex(), digest, at, key.public)
        signature, former = key.sign(PURPOSE, head.body), keys[number - 2]
        if before and former != key:
            signature = joined(signature, (vouchers or {}).get(number, former).sign(FOLLOWS, head.body))
        lines += [line, head.line(signature)]
        before = head
    return lines


NEXT, LATER = signatures.make(), signatures.make()


def test_who_has_the_first_key_checks_all_that_follow() -> None:
    lines = chained(KEY, KEY, NEXT, NEXT, LATER)
    assert verify(lines).is_sound
    assert verify(lines[4:6], part=True).is_sound, "also where a part begins with the head that hands over"
    assert not Verifier(Trust([NEXT.public], signatures.is_signed)).verify(lines).is_sound


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (chained(KEY, NEXT, vouchers={2: FOREIGN_KEY}), 4),
        (chained(KEY, NEXT, vouchers={2: NEXT}), 4),
        (chained(KEY, NEXT, LATER, vouchers={3: KEY}), 6),
        (chained(KEY, NEXT, KEY), 6),
        (chained(KEY, NEXT, KEY, vouchers={3: KEY}), 6),
        (chained(FOREIGN_KEY, KEY), 2),
        ([*chained(KEY), *chained(KEY, NEXT)[2:3], chained(KEY, NEXT)[3].rsplit(b".", 1)[0] + b'"}'], 4),
    ],
    ids=["a stranger vouches", "for itself", "the one before", "it comes back", "and vouches", "none", "unsigned"],
)
def test_a_key_that_the_former_has_not_handed_over_to_seals_nothing(lines: list[bytes], line: int) -> None:
    faults = verify(lines).faults
    assert faults[0].line == line, faults
    assert "not signed by a key that you trust" in faults[0].what


def test_a_head_is_signed_for_one_purpose() -> None:
    """What vouches for a key is no signature of a head, nor the other way round."""
    lines = chained(KEY, NEXT)
    head = read(lines[3])
    for signature in (KEY.sign(PURPOSE, head.body), NEXT.sign(FOLLOWS, head.body)):
        forged = head.line(joined(NEXT.sign(PURPOSE, head.body), signature))
        assert not verify([*lines[:3], forged]).is_sound


def read(line: bytes) -> Head:
    found = read_sealed_head(line)
    assert found is not None
    return found[0]
