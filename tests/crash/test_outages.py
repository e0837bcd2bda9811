"""A database that cannot be written to: nothing is open too long, nobody is told yes, and it goes on afterwards."""

import contextlib
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.netns import ALICE4, BOB4, HOST4, Listener, Network
from tests.processes import Jitgate, sleep_past_end, until

pytestmark = pytest.mark.needs_root

MACHINE = "web-1"
Outage = Callable[[Jitgate], AbstractContextManager[None]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for the data directory, of a few megabytes."""
    disk = tmp_path / "data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "jitgate-test", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@contextlib.contextmanager
def full_disk(jitgate: Jitgate) -> Iterator[None]:
    """Not one byte more fits."""
    filler = jitgate.directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0")
    yield
    filler.unlink()


@contextlib.contextmanager
def locked_database(jitgate: Jitgate) -> Iterator[None]:
    """Another process has begun to write, and does not end."""
    other = sqlite3.connect(jitgate.directory / "jitgate.db", isolation_level=None, timeout=30)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("outage", [full_disk, locked_database])
def test_a_port_shuts_on_time_and_nobody_is_told_yes_while_nothing_can_be_written(
    small_disk: Path, network: Network, listener: Listener, outage: Outage
) -> None:
    with Jitgate(small_disk, {MACHINE: network.host.name}) as jitgate:
        jitgate.enable(MACHINE)
        grant = jitgate.open(MACHINE, ALICE4, seconds=7)
        with outage(jitgate):
            accepted = ask_until_refused(jitgate)
            assert jitgate.grant(grant["id"])["id"] == grant["id"], "what can be read is answered"
            sleep_past_end(grant)
            assert not network.alice.can_connect(HOST4, 22), "open past its end"
        until(lambda: is_closed(jitgate, grant["id"]), "the grant does not come to rest")
        assert all(jitgate.grant(uid)["id"] == uid for uid in accepted), "acknowledged, and lost"
        until(lambda: states(jitgate) <= {"open"}, "some grant does not come to rest")
        assert network.bob.can_connect(HOST4, 22) == bool(states(jitgate)), "packets and lists agree"
        jitgate.open(MACHINE, ALICE4, seconds=60)
        assert network.alice.can_connect(HOST4, 22)


def ask_until_refused(jitgate: Jitgate) -> set[str]:
    """Ask until nothing can be written any more; the grants that the server said yes to."""
    accepted: set[str] = set()

    def refused() -> dict[str, Any] | None:
        ports = [{"number": 22, "sources": [BOB4], "duration": "PT1M"}]
        body = {"machines": [{"id": MACHINE, "ports": ports}], "justification": "test"}
        with jitgate.client() as client:
            answer = client.post("/api/v1/requests", json=body)
        if answer.is_success:
            accepted.update(each["id"] for each in answer.json()["grants"])
            return None
        assert answer.status_code == 503, answer.text
        error: dict[str, Any] = answer.json()["error"]
        return error

    assert until(refused, "it says yes, though nothing can be written")["code"] == "ServiceUnavailable"
    return accepted


def is_closed(jitgate: Jitgate, uid: str) -> bool:
    return bool(jitgate.grant(uid)["state"] == "closed")


def states(jitgate: Jitgate) -> set[str]:
    """Of all grants that are not closed."""
    return {grant["state"] for grant in jitgate.call("GET", "/api/v1/grants?limit=200")["items"]}
