"""The first start: a subscription, an owner, and one token in one file."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitgate.clock import ManualClock
from jitgate.core import roles
from jitgate.core.errors import Invalid, JitgateError
from jitgate.identity.bootstrap import OWNER_TOKEN, Installation, bootstrap
from jitgate.identity.credentials import authenticate
from jitgate.store import credentials, principals
from jitgate.store.database import Store, Tx
from jitgate.store.principals import Account
from jitgate.trust import files, tokens


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path / 'jitgate.db'}", ManualClock())
    yield opened
    opened.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


def unrecorded(_tx: Tx, _owner: Account) -> None:
    pass


async def start(store: Store, directory: Path) -> Installation:
    return await bootstrap(store, directory, unrecorded)


def token_in(directory: Path) -> str:
    return (directory / OWNER_TOKEN).read_text().strip()


async def test_the_token_in_the_file_proves_an_owner_who_may_do_everything(store: Store, directory: Path) -> None:
    made = await start(store, directory)
    known = await authenticate(store, token_in(directory))
    assert made.is_new
    assert known.principal.name == "owner"
    assert known.principal.may(roles.WRITE_POLICY, f"/subscriptions/{made.subscription}/resourceGroups/any")


async def test_the_token_is_in_no_other_file_and_for_its_owner_alone(
    store: Store, directory: Path, tmp_path: Path
) -> None:
    await start(store, directory)
    store.close()
    token = tokens.parse(token_in(directory))
    assert token is not None
    assert stat.S_IMODE((directory / OWNER_TOKEN).stat().st_mode) == 0o600
    assert files_with(token.secret, tmp_path) == [OWNER_TOKEN]


def files_with(secret: str, directory: Path) -> list[str]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [path.name for path in files if secret.encode() in path.read_bytes()]


async def test_later_starts_change_nothing(store: Store, directory: Path) -> None:
    first = await start(store, directory)
    token = token_in(directory)
    accounts = await store.read(principals.list_all)
    second = await start(store, directory)
    assert second == Installation(first.subscription, is_new=False)
    assert token_in(directory) == token
    assert await store.read(principals.list_all) == accounts


async def test_a_token_file_that_was_taken_away_is_not_made_again(store: Store, directory: Path) -> None:
    await start(store, directory)
    (directory / OWNER_TOKEN).unlink()
    await start(store, directory)
    assert not (directory / OWNER_TOKEN).exists()


async def test_a_start_that_died_before_its_commit_locks_nobody_out(store: Store, directory: Path) -> None:
    def die(_tx: Tx, _owner: Account) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await bootstrap(store, directory, die)
    left = token_in(directory)
    assert (await start(store, directory)).is_new
    assert token_in(directory) == left
    assert (await authenticate(store, left)).principal.name == "owner"


async def test_two_processes_that_start_at_once_agree_on_one_token(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has written its file just before this one comes to that."""
    create = files.create_private
    others = f"{tokens.make().text}\n"

    def create_late(path: Path, content: bytes) -> bool:
        create(path, others.encode())
        return create(path, content)

    monkeypatch.setattr("jitgate.identity.bootstrap.create_private", create_late)
    await start(store, directory)
    assert (directory / OWNER_TOKEN).read_text() == others
    assert (await authenticate(store, others.strip())).principal.name == "owner"


async def test_a_file_that_holds_no_token_is_an_error_that_names_it(store: Store, directory: Path) -> None:
    (directory / OWNER_TOKEN).write_text("hunter2")
    with pytest.raises(Invalid, match=r"owner\.token holds no token; remove it") as raised:
        await start(store, directory)
    assert "hunter2" not in str(raised.value)


async def test_the_owner_is_put_on_record_in_the_same_transaction(store: Store, directory: Path) -> None:
    recorded: list[str] = []
    await bootstrap(store, directory, lambda _tx, owner: recorded.append(owner.name))
    await bootstrap(store, directory, lambda _tx, owner: recorded.append(owner.name))
    assert recorded == ["owner"]


async def test_the_owners_token_does_not_expire_by_itself(store: Store, directory: Path) -> None:
    await start(store, directory)
    known = await authenticate(store, token_in(directory))
    credential = (await store.read(lambda tx: credentials.list_of(tx, known.principal.uid, ["owner"])))[0]
    assert credential.expires_at is None


async def test_no_other_token_is_accepted_after_the_first_start(store: Store, directory: Path) -> None:
    await start(store, directory)
    with pytest.raises(JitgateError):
        await authenticate(store, tokens.make().text)
