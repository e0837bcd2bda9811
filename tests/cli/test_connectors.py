"""`jitgate connector`."""

import asyncio
from collections.abc import Iterator

import pytest
from tests.cli.conftest import Cli

from jitgate.service import connectors
from jitgate.store import connectors as rows_of


@pytest.fixture
def tested(cli: Cli) -> Iterator[None]:
    """A connector, and somebody who looks after it and finds a permission missing."""
    cli("connector", "add", "cloud", "--kind", "memory")
    service = cli.server.service

    async def find() -> None:
        while True:
            rows = await service.store.read(rows_of.list_all)
            for row in rows:
                if row.awaits_test:
                    await connectors.note_test(service, row.name, ("Microsoft.Network/networkInterfaces/read",), "")
            await asyncio.sleep(0.05)

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(find())

    async def end(task: asyncio.Task[None]) -> None:
        task.cancel()

    finding = cli.server.call(begin())
    yield
    cli.server.call(end(finding))


def test_a_cloud_is_connected_listed_and_removed(cli: Cli) -> None:
    assert "is connected" in cli("connector", "add", "cloud", "--kind", "memory", "--set", "colour=blue").out
    listed = cli("connector", "ls", "-o", "json").data
    assert [(one["name"], one["settings"]) for one in listed] == [("cloud", {"colour": "blue"})]
    assert "beginning" in cli("connector", "ls").out
    assert "being removed" in cli("connector", "remove", "cloud").out
    assert "being removed" in cli("connector", "ls").out


def test_what_cannot_be_connected_is_refused(cli: Cli) -> None:
    assert cli("connector", "add", "cloud", "--kind", "abacus").code == 2
    assert cli("connector", "add", "cloud", "--kind", "memory", "--set", "colour").code == 2
    assert cli("connector", "remove", "no-such").code == 3


def test_a_test_shows_each_missing_permission_and_fails_by_them(cli: Cli, tested: None) -> None:
    ran = cli("connector", "test", "cloud")
    assert (ran.code, ran.out.strip()) == (1, "missing: Microsoft.Network/networkInterfaces/read")
