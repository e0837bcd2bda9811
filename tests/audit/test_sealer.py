"""The sealer: every event under a signed head, by one process at a time, whatever dies."""

import asyncio
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update
from tests.house import HOUR, START, House

from jitgate import audit
from jitgate.audit import Event, Operation, Outcome, Proof
from jitgate.audit.sealer import Sealer
from jitgate.core.errors import Unavailable
from jitgate.core.record import MOST_EVENTS
from jitgate.core.record_trust import Trust
from jitgate.core.verification import Finding, Verifier, read_sealed_head
from jitgate.service import activity
from jitgate.service.activity import EVERYTHING, Selection
from jitgate.store import heads
from jitgate.store.database import Tx
from jitgate.store.heads import Sealed
from jitgate.store.schema import activity_head
from jitgate.trust import record_key, signatures, succession

DAY = timedelta(days=1)


async def sealed_file(house: House, wanted: Selection = EVERYTHING) -> list[bytes]:
    pages = activity.export_sealed(house.service, house.alice, wanted)
    return [line for page in [page async for page in pages] for line in page]


async def verified(house: House, wanted: Selection = EVERYTHING) -> Finding:
    return verify(house, await sealed_file(house, wanted), part=wanted != EVERYTHING)


def verify(house: House, lines: list[bytes], *, part: bool = False) -> Finding:
    trusted = (house.directory / record_key.PUBLIC_FILE).read_text().split()
    return Verifier(Trust(trusted, signatures.is_signed), part=part).verify(lines)


async def say(house: House, *names: str) -> None:
    events = [Event(Operation.MACHINE_FOUND, Outcome.SUCCEEDED, name) for name in names]
    await house.store.write(lambda tx: audit.record(tx, events))


async def test_what_happened_is_sealed_and_an_export_of_it_is_found_sound(house: House) -> None:
    sealer = house.make_sealer()
    await house.enable("web-1")
    await sealer.seal_all()
    await house.open("web-1")
    await sealer.seal_all()
    events = await house.events()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    found = await verified(house)
    assert found.is_sound, found.faults
    assert (found.events, found.heads) == (len(events), 2)


async def test_a_part_of_the_record_is_exported_with_proofs(house: House) -> None:
    await house.enable("web-1", "web-2")
    await house.open("web-1")
    await house.make_sealer().seal_all()
    wanted = Selection(operation=str(Operation.GRANT_OPEN))
    found = await verified(house, wanted)
    assert found.is_sound, found.faults
    assert found.events == 1
    lines = await sealed_file(house, wanted)
    assert not verify(house, [line.replace(b'"port":22', b'"port":23') for line in lines], part=True).is_sound


async def test_a_long_backlog_is_sealed_in_batches(house: House) -> None:
    await say(house, *(f"m{n}" for n in range(2 * MOST_EVENTS)))
    sealer = house.make_sealer()
    assert await sealer.seal() == MOST_EVENTS
    await sealer.seal_all()
    found = await verified(house)
    assert found.is_sound, found.faults
    assert found.heads == 3


async def test_nothing_to_seal_writes_nothing(house: House) -> None:
    sealer = house.make_sealer()
    await sealer.seal_all()
    assert await sealer.seal() == 0
    assert len(await house.store.read(heads.page)) == 1


async def test_of_two_sealers_one_seals_and_the_other_takes_over_when_it_is_gone(house: House) -> None:
    first, second = house.make_sealer("first"), house.make_sealer("second")
    await first.seal_all()
    await say(house, "a")
    assert await second.seal() == 0
    house.clock.advance(HOUR)
    assert await second.seal() == 1
    await say(house, "b")
    assert await first.seal() == 0
    assert (await verified(house)).is_sound


async def test_a_sealer_that_was_held_up_leaves_alone_what_another_has_sealed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(house, "a")
    slow, quick = house.make_sealer("first"), house.make_sealer("first")
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def write(work: object) -> object:
        reached.set()
        await go_on.wait()
        return await original(work)  # type: ignore[arg-type]

    original = house.store.write
    monkeypatch.setattr(slow, "_store", _Held(house, write))
    sealing = asyncio.create_task(slow.seal())
    await reached.wait()
    await quick.seal_all()
    go_on.set()
    assert await sealing == 0
    assert (await verified(house)).is_sound


class _Held:
    """A store whose writes wait."""

    def __init__(self, house: House, write: object) -> None:
        self.read = house.store.read
        self.write = write


async def test_old_events_go_in_whole_batches_and_the_rest_still_verifies(house: House) -> None:
    sealer = house.make_sealer()
    for _ in range(4):
        await say(house, "a", "b")
        await sealer.seal_all()
        house.clock.advance(DAY)
    before = await house.events()
    await sealer.expire_all(2 * DAY)
    left = [event for event in await house.events() if event.operation != Operation.ACTIVITY_EXPIRE]
    assert len(left) == 4
    assert left == before[-4:]
    [told] = await house.events(Operation.ACTIVITY_EXPIRE)
    assert told.properties["through"] == left[0].sequence - 1 if left[0].sequence else False
    await sealer.seal_all()
    found = await verified(house)
    assert found.is_sound, found.faults
    assert found.heads == len(await house.store.read(heads.page)) == 5


async def test_who_has_the_database_and_no_key_cannot_have_retention_excuse_what_they_delete(house: House) -> None:
    sealer = house.make_sealer()
    await say(house, "a", "b")
    await sealer.seal_all()
    sealed = await house.store.read(heads.last)
    assert sealed is not None
    forged = {"through": sealed.head.last, "head": 1, "retentionDays": 30}
    lie = Event(Operation.ACTIVITY_EXPIRE, Outcome.SUCCEEDED, "/", properties=forged)
    await house.store.write(lambda tx: audit.record(tx, [lie]))
    await sealer.seal_all()
    assert (await verified(house)).unsigned == 1
    far = house.clock.wall() + 9 * DAY
    await house.store.write(lambda tx: heads.expire(tx, far, 1))
    found = await verified(house)
    assert [fault.what[:26] for fault in found.faults] == [f"events up to {sealed.head.last} are missing"[:26]]


async def test_a_head_that_was_dated_back_does_not_make_the_sealer_excuse_what_went(house: House) -> None:
    """Whoever has the database can have the sealer delete too early; what it signs then fits no head that is right."""
    sealer = house.make_sealer()
    await say(house, "a", "b")
    await sealer.seal_all()
    right = await house.store.read(heads.last)
    assert right is not None
    await _date(house, right.head.at - 3 * DAY)
    await sealer.expire_all(2 * DAY)
    await sealer.seal_all()
    assert not (await verified(house)).is_sound
    await _date(house, right.head.at)
    assert any("are missing" in fault.what for fault in (await verified(house)).faults)


async def _date(house: House, at: datetime) -> None:
    """Date the first head otherwise, as whoever rules the database can."""

    def work(tx: Tx) -> None:
        tx.execute(text("DROP TRIGGER IF EXISTS activity_head_is_never_changed")).close()
        tx.execute(update(activity_head).where(activity_head.c.number == 1).values(at=at)).close()

    await house.store.write(work)


async def test_what_stands_by_an_older_jitgate_is_sealed_too(house: House) -> None:
    """Its events have numbers, and no heads."""
    await say(house, "a", "b")

    def number(tx: Tx) -> None:
        entries = heads.unsealed(tx, 0, 100)
        tx.run(heads._number, [{"b_id": one.id, "b_sequence": at} for at, one in enumerate(entries, 1)])

    await house.store.write(number)
    await say(house, "c")
    await house.make_sealer().seal_all()
    found = await verified(house)
    assert found.is_sound, found.faults
    assert found.events == len(await house.events()) - 1


async def test_a_text_that_no_file_can_hold_does_not_hold_the_sealer_up(house: House) -> None:
    broken = Event(Operation.MACHINE_FOUND, Outcome.SUCCEEDED, "a", properties={"name": "\ud800", "n": 1.5e300})
    await house.store.write(lambda tx: audit.record(tx, [broken]))
    await house.make_sealer().seal_all()
    assert (await verified(house)).is_sound


async def test_a_report_that_a_host_has_signed_is_sealed_with_its_event(house: House) -> None:
    host = signatures.make()
    said = b'{"standing":[]}'
    proof = Proof(host.public, "report", host.sign("report", said), said)
    event = Event(Operation.FIREWALL_APPLY, Outcome.SUCCEEDED, "host/web-1", proof=proof)
    await house.store.write(lambda tx: audit.record(tx, [event]))
    await house.make_sealer().seal_all()
    [told] = await house.events(Operation.FIREWALL_APPLY)
    assert told.properties["proof"]["signer"] == host.public
    lines = await sealed_file(house)
    assert verify(house, lines).is_sound
    forged = [line.replace(proof.signature.encode(), b"A" * len(proof.signature)) for line in lines]
    assert not verify(house, forged).is_sound


def follow(house: House) -> None:
    """Have another key seal from now on."""
    path, now = house.directory / record_key.PRIVATE_FILE, house.clock.wall()
    path.write_bytes(succession.encode(succession.parse(path.read_bytes()).followed_by(signatures.new_pem(), now, now)))


async def test_a_key_hands_over_to_the_next_and_who_has_the_first_checks_all(house: House) -> None:
    sealer = house.make_sealer()
    first = (house.directory / record_key.PUBLIC_FILE).read_text()
    for name in "abc":
        await say(house, name)
        await sealer.seal_all()
        follow(house)
    await say(house, "d")
    await sealer.seal_all()
    lines = await sealed_file(house)
    assert len({read[0].key for line in lines if (read := read_sealed_head(line))}) == 4
    found = Verifier(Trust(first.split(), signatures.is_signed)).verify(lines)
    assert found.is_sound, found.faults
    record_key.ensure(house.directory)
    assert len((house.directory / record_key.PUBLIC_FILE).read_text().split()) == 4


async def test_a_replica_without_the_next_key_seals_nothing_by_the_former(house: House, tmp_path: Path) -> None:
    await say(house, "a")
    await house.make_sealer("first").seal_all()
    shutil.copytree(house.directory, tmp_path / "former", dirs_exist_ok=True)
    follow(house)
    await say(house, "b")
    await house.make_sealer("first").seal_all()
    await say(house, "c")
    former = Sealer(house.store, record_key.ensure(tmp_path / "former").now, "first")
    with pytest.raises(Unavailable, match="copy the file"):
        await former.seal()
    await house.make_sealer("first").seal_all()
    assert (await verified(house)).is_sound


async def test_the_head_is_signed_at_the_time_of_sealing(house: House) -> None:
    house.clock.advance(HOUR)
    await house.make_sealer().seal_all()
    last: Sealed | None = await house.store.read(heads.last)
    assert last is not None
    assert last.head.at == START + HOUR
