"""Replicas speak with the same keys."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.house import House

from jitgate.core.errors import Invalid
from jitgate.main.house import must_have_the_keys
from jitgate.trust import links
from jitgate.trust.links import LINK_KEY
from jitgate.trust.succession import Entry, Succession


async def test_a_replica_with_keys_of_its_own_is_refused_and_told_which_to_copy(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    async with House() as house:
        one, other = links.ensure_keys(first).now(), links.ensure_keys(second).now()
        await house.store.write(lambda tx: must_have_the_keys(tx, one, first))
        with pytest.raises(Invalid, match="has other keys than the replicas") as refused:
            await house.store.write(lambda tx: must_have_the_keys(tx, other, second))
        assert LINK_KEY in str(refused.value.reasons[0].allowed)
        shutil.copy(first / LINK_KEY, second / LINK_KEY)
        await house.store.write(lambda tx: must_have_the_keys(tx, links.ensure_keys(second).now(), second))


async def test_replicas_are_known_by_the_next_key_before_the_former_goes() -> None:
    now, former, following = datetime.now(UTC), b"f" * 32, b"n" * 32
    both = Succession((Entry(former), Entry(following, now)))
    async with House() as house:

        async def check(keys: Succession[bytes]) -> None:
            await house.store.write(lambda tx: must_have_the_keys(tx, keys, Path("here")))

        for keys in (Succession((Entry(former),)), both, both.without_former(now)):
            await check(keys)
        with pytest.raises(Invalid, match="has other keys"):
            await check(Succession((Entry(former),)))
