"""What is done at a host itself: orders wait until they are carried out, and records until the server has them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jitgate.agent.records import Records
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import orders, releases, roster
from jitgate.connectors.hosts.messages import Kind
from jitgate.connectors.hosts.orders import Order
from jitgate.connectors.hosts.roster import Host
from jitgate.core.prefixes import Prefix

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOST = Host("web-1", "uuid-1", "blue")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    releases.record(tmp_path, released=True, by="root", why="locked out", at=NOW)
    releases.record(tmp_path, released=False, by="root", why="", at=NOW)
    return Records(HOST, tmp_path)


def test_every_record_is_told_until_it_is_settled(records: Records) -> None:
    for _ in range(2):
        told = list(records.untold())
        assert [(each.kind, each.why) for each in told] == [(Kind.RELEASED, "locked out"), (Kind.PROTECTED, "")]
        assert len({each.record for each in told}) == 2


def test_a_settled_record_is_not_told_again_not_even_by_the_next_agent(records: Records, tmp_path: Path) -> None:
    first, second = records.untold()
    records.settle(first.record)
    assert list(Records(HOST, tmp_path).untold()) == [second]
    records.settle(second.record)
    assert not list(records.untold())


def test_the_record_of_another_host_settles_nothing(records: Records) -> None:
    for stranger in ("uuid-2:1", "uuid-1", "uuid-1:x", ""):
        records.settle(stranger)
    assert len(list(records.untold())) == 2


def test_a_torn_line_hides_no_other_record(records: Records, tmp_path: Path) -> None:
    path = tmp_path / releases.FILE
    path.write_text(path.read_text().replace("locked out", 'locked" out', 1))
    assert [each.kind for each in records.untold()] == [Kind.PROTECTED]


def test_an_order_stands_until_it_is_settled(tmp_path: Path) -> None:
    assert orders.standing(tmp_path, NOW) is None
    orders.give(tmp_path, Order(True, "root", "locked out", NOW))
    assert orders.standing(tmp_path, NOW) == Order(True, "root", "locked out", NOW)
    orders.settle(tmp_path)
    orders.settle(tmp_path)
    assert orders.standing(tmp_path, NOW) is None


@pytest.mark.parametrize("later", [timedelta(minutes=2), timedelta(minutes=-2)])
def test_an_old_order_is_void_so_that_no_restart_opens_a_host_by_surprise(tmp_path: Path, later: timedelta) -> None:
    orders.give(tmp_path, Order(True, "root", "locked out", NOW))
    assert orders.standing(tmp_path, NOW + later) is None
    assert orders.standing(tmp_path, NOW) is None


def test_an_order_that_cannot_be_read_is_said_so_and_not_guessed(tmp_path: Path) -> None:
    (tmp_path / orders.FILE).write_text("{")
    with pytest.raises(ConnectorError, match=r"order\.json"):
        orders.standing(tmp_path, NOW)


def test_the_agent_reads_the_hosts_that_were_written_for_it(tmp_path: Path) -> None:
    hosts = (HOST, Host("this", "uuid-2", None, (Prefix("192.0.2.0/24"),)))
    roster.write(tmp_path / "agent", hosts)
    assert roster.read(tmp_path / "agent") == hosts


def test_each_host_has_a_directory_of_its_own(tmp_path: Path) -> None:
    assert len({host.directory(tmp_path) for host in (HOST, Host("b", "u", "machine"), Host("c", "v"))}) == 3


@pytest.mark.parametrize("content", ["", "7", "[1]", '{"a": 1}', '[{"name": "a"}]'])
def test_a_damaged_list_of_hosts_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / roster.FILE).write_text(content)
    with pytest.raises(ConnectorError, match="damaged"):
        roster.read(tmp_path)


def test_a_pid_counts_only_while_its_process_holds_the_lock(tmp_path: Path) -> None:
    assert roster.running_pid(tmp_path) is None
    (tmp_path / roster.PID).write_text("1\n")
    assert roster.running_pid(tmp_path) is None
