"""Moving to PostgreSQL: all of it or nothing, live grants too, and what comes afterwards goes on from there."""

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Connection, Table, text
from tests.house import HOUR, House, lasting, part
from tests.postgresql import cluster, execute

from jitgate.audit import soundness
from jitgate.core.access import State
from jitgate.core.errors import Conflict, Invalid, Unavailable
from jitgate.core.verification import Finding
from jitgate.store import copying
from jitgate.store.database import Store, Tx
from jitgate.store.schema import metadata
from jitgate.trust import record_key


@pytest.fixture
def target() -> Iterator[str]:
    """A database that nothing was ever done in."""
    name = cluster().create()
    yield cluster().url(name)
    cluster().drop(name)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """With grants that are over and one that is open, and a record of which most is sealed."""
    async with House() as made:
        await made.put(part("web-1"), part("web-2"))
        grant = await made.open("web-2")
        await made.close_early(grant.uid)
        await made.make_sealer().seal_all()
        await made.open("web-1", span=lasting("2h"))
        yield made


def look(house: House, tx: Tx) -> Finding:
    return soundness.look(tx, (house.directory / record_key.PUBLIC_FILE).read_text().split())


def move(house: House, target: str) -> dict[str, int]:
    house.store.close()

    def check(tx: Tx) -> None:
        assert look(house, tx).is_sound

    return dict(copying.move(house.url, target, house.clock, check))


def take_up(house: House, url: str) -> None:
    """Go on with another database, as a start does."""
    house.url = url
    house.crash()


async def test_what_was_open_stays_so_shuts_on_time_and_is_numbered_on(house: House, target: str) -> None:
    before, events = await house.live(), await house.events()
    generation = await house.generation("web-1")
    rows = move(house, target)
    assert rows["activity"] == len(events)
    assert {name: count(target, name) for name in rows} == rows
    take_up(house, target)
    assert await house.live() == before
    assert house.reaches("web-1")
    await house.sweep_soon("web-1")
    await house.settle()
    assert await house.generation("web-1") > generation, "no agent takes the new one for an older one"
    await house.pass_time(2 * HOUR)
    assert not house.reaches("web-1")
    assert (await house.grant(before[0].uid)).state is State.CLOSED
    later = [event.id for event in await house.events()][len(events) :]
    assert later
    assert min(later) > max(event.id for event in events)
    await house.make_sealer().seal_all()
    found = await house.store.read(lambda tx: look(house, tx))
    assert found.is_sound
    assert found.heads > 1


async def test_a_file_that_was_moved_is_not_taken_up_again(house: House, target: str) -> None:
    file = house.url
    move(house, target)
    with pytest.raises(Conflict, match="were moved to postgresql") as refused:
        Store.open(file, house.clock)
    assert target.partition("?")[0].rpartition("/")[2] in refused.value.message
    with pytest.raises(Conflict, match="were moved"):
        copying.move(file, target, house.clock, lambda _: None)
    house.url = target


async def test_numbers_whose_rows_have_gone_are_not_given_again(house: House, target: str) -> None:
    last = (await house.events())[-1].id
    await house.store.write(lambda tx: tx.execute(metadata.tables["history"].delete()).close())
    highest = await house.store.read(seq)
    move(house, target)
    assert execute(target, "SELECT nextval(pg_get_serial_sequence('history', 'id'))") == [(highest + 1,)]
    assert execute(target, "SELECT nextval(pg_get_serial_sequence('activity', 'id'))") == [(last + 1,)]


def seq(tx: Tx) -> int:
    return int(tx.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'history'")).scalar_one())


async def test_a_target_that_holds_something_is_refused_and_left_alone(house: House, target: str) -> None:
    Store.open(target, house.clock).close()
    execute(target, "INSERT INTO principal VALUES ('u', 'ann', 'ann', 'user', 5, NULL, NULL)")
    file = house.url
    with pytest.raises(Conflict, match="not empty: there is something in principal"):
        move(house, target)
    assert count(target, "grants") == 0
    Store.open(file, house.clock).close()


async def test_a_record_that_is_not_what_was_sealed_is_not_copied(house: House, target: str) -> None:
    def refuse(_: Tx) -> None:
        raise Conflict("it is not what was sealed")

    house.store.close()
    with pytest.raises(Conflict, match="not what was sealed"):
        copying.move(house.url, target, house.clock, refuse)
    assert count(target, "activity") == count(target, "grants") == 0
    Store.open(house.url, house.clock).close()
    assert move(house, target)["grants"] == 2, "it can be tried again"


async def test_a_row_that_is_read_back_otherwise_stops_it(
    house: House, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = copying._copy

    def change(one: Connection, other: Connection, table: Table) -> int:
        copied = whole(one, other, table)
        if table.name == "machine":
            other.exec_driver_sql("UPDATE machine SET name = 'other' WHERE name = 'web-1'")
        return copied

    monkeypatch.setattr(copying, "_copy", change)
    with pytest.raises(Unavailable, match="The copy of machine is not what it should be"):
        move(house, target)
    assert count(target, "machine") == 0


@pytest.mark.parametrize(("source", "to"), [("postgresql://x/y", "postgresql://x/z"), ("sqlite:////a", "sqlite:////b")])
def test_it_goes_from_a_file_to_postgresql(house: House, source: str, to: str) -> None:
    with pytest.raises(Invalid):
        copying.move(source, to, house.clock, lambda _: None)


def count(url: str, table: str) -> object:
    return execute(url, f'SELECT count(*) FROM "{table}"')[0][0]
