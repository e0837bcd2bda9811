"""Replicas of two versions on one database: what is added comes at once, what is taken away when nobody needs it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.postgresql import cluster, execute

from jitgate.clock import ManualClock
from jitgate.store import migrations, presence
from jitgate.store.database import Store
from jitgate.store.migrations import SchemaError, Standing, chain, newest
from jitgate.store.presence import Replica

Newer = Callable[..., None]
ADDS = "op.add_column('meta', sa.Column('colour', sa.Text()))"
TAKES_AWAY = "op.drop_column('meta', 'colour')"
OLD = newest()


@pytest.fixture
def url() -> Iterator[str]:
    name = cluster().create(cluster().migrated())
    yield cluster().url(name)
    cluster().drop(name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Newer]:
    """Makes this jitgate a newer one, with more revisions: what each does, and whether it is a "post" one."""
    versions = tmp_path / "versions"
    shutil.copytree(migrations.VERSIONS, versions)

    def add(*bodies: str) -> None:
        for body in bodies:
            number = f"{int(newest()) + 1:04}"
            phase = 'phase = "post"\n' if body == TAKES_AWAY else ""
            head = f'import sqlalchemy as sa\nfrom alembic import op\n\nrevision = "{number}"\n'
            text = f'{head}down_revision = "{newest()}"\n{phase}\n\ndef upgrade() -> None:\n    {body}\n'
            (versions / f"{number}_more.py").write_text(text)
            monkeypatch.setattr(migrations, "VERSIONS", versions)
            chain.cache_clear()

    yield add
    monkeypatch.undo()
    chain.cache_clear()


@contextmanager
def opened(url: str, clock: ManualClock) -> Iterator[Store]:
    store = Store.open(url, clock)
    try:
        yield store
    finally:
        store.close()


def become(monkeypatch: pytest.MonkeyPatch, versions: Path) -> None:
    """Be the jitgate that knows these revisions."""
    monkeypatch.setattr(migrations, "VERSIONS", versions)
    chain.cache_clear()


def be_heard(store: Store, name: str, knows: str) -> Standing:
    return store.write_now(lambda tx: presence.be_heard(tx, Replica(name, "1.0", knows, "all")))


def revision(url: str) -> object:
    return execute(url, "SELECT version_num FROM alembic_version")[0][0]


def test_what_is_added_comes_at_once_and_what_is_taken_away_when_no_older_replica_lives(
    url: str, clock: ManualClock, newer: Newer
) -> None:
    with opened(url, clock) as old:
        be_heard(old, "old", OLD)
        newer(ADDS, TAKES_AWAY)
        with opened(url, clock) as new:
            assert revision(url) == chain()[-2].id
            assert [each.is_post for each in be_heard(new, "new", newest()).missing] == [True]
            assert new.bring_further() == ["old"]
            assert be_heard(old, "old", OLD).fits
            old.write_now(lambda tx: presence.leave(tx, "old"))
            assert new.bring_further() == []
            assert revision(url) == newest()
            assert not be_heard(new, "new", newest()).missing


def test_a_replica_that_was_not_heard_for_a_minute_is_waited_for_no_longer(
    url: str, clock: ManualClock, newer: Newer
) -> None:
    with opened(url, clock) as old:
        be_heard(old, "old", OLD)
    execute(url, "UPDATE replica SET heard_at = heard_at - 30000000")
    newer(ADDS, TAKES_AWAY)
    with opened(url, clock) as new:
        assert new.bring_further() == ["old"]
        execute(url, "UPDATE replica SET heard_at = heard_at - 31000000")
        assert new.bring_further() == []


def test_an_older_jitgate_starts_on_what_was_only_added_and_not_on_what_lacks_something(
    url: str, clock: ManualClock, newer: Newer, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = migrations.VERSIONS
    with opened(url, clock) as old:
        be_heard(old, "old", OLD)
    newer(ADDS, TAKES_AWAY)
    more = migrations.VERSIONS
    with opened(url, clock) as new:
        become(monkeypatch, older)
        with opened(url, clock) as old:
            assert be_heard(old, "old", OLD).fits
            old.write_now(lambda tx: presence.leave(tx, "old"))
            become(monkeypatch, more)
            assert new.bring_further() == []
            become(monkeypatch, older)
            with pytest.raises(SchemaError, match="A newer jitgate has taken this database"):
                be_heard(old, "old", OLD)
        with pytest.raises(SchemaError, match=f"knows revisions up to {OLD}"):
            Store.open(url, clock)


def test_a_version_that_must_not_be_left_out_is_asked_for_by_the_names_of_those_that_run_it(
    url: str, clock: ManualClock, newer: Newer
) -> None:
    with opened(url, clock) as old:
        be_heard(old, "old", OLD)
        newer(ADDS, TAKES_AWAY, ADDS)
        with pytest.raises(SchemaError, match="too old for this one are running: old"):
            Store.open(url, clock)
        assert revision(url) == OLD


def test_a_database_that_is_new_refuses_a_jitgate_that_needs_what_was_never_there(
    clock: ManualClock, newer: Newer, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, name = migrations.VERSIONS, cluster().create()
    newer(ADDS, TAKES_AWAY)
    with opened(cluster().url(name), clock):
        assert revision(cluster().url(name)) == newest()
    become(monkeypatch, older)
    with pytest.raises(SchemaError, match="made by a newer jitgate"):
        Store.open(cluster().url(name), clock)
    cluster().drop(name)


def test_a_file_has_no_other_replicas_to_wait_for(tmp_path: Path, clock: ManualClock, newer: Newer) -> None:
    url = f"sqlite:///{tmp_path}/jitgate.db"
    with opened(url, clock) as old:
        be_heard(old, "old", OLD)
    newer("with op.batch_alter_table('meta') as t: t.add_column(sa.Column('colour', sa.Text()))", TAKES_AWAY)
    with opened(url, clock) as new:
        assert not be_heard(new, "new", newest()).missing
        assert new.bring_further() == []
