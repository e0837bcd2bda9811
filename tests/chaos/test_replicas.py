"""Two replicas on PostgreSQL: half a dozen stories, and what one does that slept past its lease."""

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.chaos.house import House, Playhouse
from tests.chaos.parts import Remote, Replica
from tests.chaos.puppet import LEASE, LISTING_SECONDS
from tests.chaos.story import A_DOZEN, POSTGRESQL
from tests.chaos.watch import knock, targets
from tests.chaos.world import ADDRESSES
from tests.postgresql import execute
from tests.processes import until

from jitgate.testing.azure.calls import Call

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(600)]
HOUSE = POSTGRESQL
CAROL = "10.71.3.2"
MACHINES = {"web-1": "web-1", "edge": "win-1"}
"""What is behind what joins."""
PATIENCE = 180.0
"""Seconds at the most, also on a machine that does much else besides."""


@pytest.mark.parametrize("seed", A_DOZEN[1::2])
def test_whatever_breaks_nothing_is_open_past_its_deadline_and_nothing_is_lost(stage: Playhouse, seed: int) -> None:
    figures = stage.play(seed)
    assert figures.knocks, "nobody looked"


@pytest.fixture
def house(stage: Playhouse) -> Iterator[House]:
    """Where whatever the test has stopped goes on again, and everybody is served by the first replica."""
    made = stage.house
    yield made
    for replica in made.scene.replicas:
        replica.strings.disarm()
        replica.signal(signal.SIGCONT, "server")


@pytest.mark.parametrize("machine", ["web-1", "win-1"])
def test_a_replica_that_wakes_after_its_lease_reopens_nothing_on_a_host_or_gateway(house: House, machine: str) -> None:
    first, second = house.scene.replicas
    remote = move(house, machine, first)
    grant = until(
        lambda: asked_of_a_sleeper(house, remote), "the first replica never sleeps while it opens this", PATIENCE
    )
    move(house, machine, second)
    closed = until(lambda: close(second, grant), "the second replica does not take over", PATIENCE)
    assert closed["reason"] == "userRequested"
    first.signal(signal.SIGCONT, "server")
    assert stays_shut(house, machine, LEASE.total_seconds())
    house.scene.balancer.send(address(remote), first.port)
    remote.kill()
    remote.start()
    assert stays_shut(house, machine, LEASE.total_seconds())
    until(
        lambda: house.scene.hub.inside(lambda: house.voice.say(0, "GET", "/api/v1/whoami").is_yes),
        "it is dead",
        PATIENCE,
    )


def test_what_a_replica_writes_late_to_a_cloud_is_shut_within_one_sweep(house: House) -> None:
    for replica in house.scene.replicas:
        replica.strings.arm("azure.put", ends_by=signal.SIGSTOP)
    grant = ask(house.scene.replicas[0], "vm-1")
    sleeper, other = until(lambda: who_sleeps(house), "nobody begins to open it", PATIENCE)
    other.strings.disarm()
    until(lambda: close(other, grant), "the other replica does not take over", PATIENCE)
    assert not is_reached(house, "vm-1")
    before = len(house.scene.arm.calls.made)
    sleeper.signal(signal.SIGCONT, "server")
    late = until(lambda: first_write(house, before), "it writes nothing late: no proof", PATIENCE)
    time.sleep(LISTING_SECONDS)
    for _ in range(2):  # The first one may have begun before that.
        wait_for_sweep(house)
    assert not is_reached(house, "vm-1")
    assert any(call.method == "DELETE" and call.path == late.path for call in house.scene.arm.calls.made[before:])


def asked_of_a_sleeper(house: House, remote: Remote) -> dict[str, Any] | None:
    """A grant that the first replica has begun to open, and then fallen asleep. None: it slept on something else."""
    first, second = house.scene.replicas
    first.strings.arm("reconcile.claimed", ends_by=signal.SIGSTOP)
    grant = ask(second, MACHINES[remote.name])
    until(lambda: first.strings.was_reached, "the first replica does nothing", PATIENCE)
    scope = f"SELECT lease_owner FROM scope_state WHERE scope = 'fleet/jitgate/{remote.name}'"
    if execute(house.scene.database, scope) == [((first.directory / "replica").read_text().strip(),)]:
        return grant
    first.signal(signal.SIGCONT, "server")
    until(lambda: close(second, grant), "it does not close", PATIENCE)
    return None


def first_write(house: House, before: int) -> Call | None:
    """The first one that the cloud was asked for after so many calls."""
    return next((call for call in house.scene.arm.calls.made[before:] if call.method == "PUT"), None)


def wait_for_sweep(house: House) -> None:
    """Until all of the cloud was compared once more."""
    compared = "SELECT reported_at FROM scope_state WHERE connector = 'cloud'"
    last = execute(house.scene.database, compared)
    until(lambda: execute(house.scene.database, compared) != last, "the cloud is swept no more", PATIENCE)


def ask(replica: Replica, machine: str) -> dict[str, Any]:
    """Ask for the machine's port 22, for long."""
    ports = [{"number": 22, "sources": [CAROL], "duration": "PT5M"}]
    body = {"machines": [{"id": machine, "ports": ports}], "justification": "for a sleeper"}
    grant: dict[str, Any] = replica.call("POST", "/api/v1/requests", body)["grants"][0]
    return grant


def close(replica: Replica, grant: dict[str, Any]) -> dict[str, Any] | None:
    """Close it; the grant, once it is."""
    now: dict[str, Any] = replica.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=5")
    return now if now["state"] == "closed" else None


def move(house: House, machine: str, replica: Replica) -> Remote:
    """Have what holds a machine's firewall be served by a replica."""
    remote = house.scene.agent if machine == "web-1" else house.scene.gateway
    house.scene.balancer.send(address(remote), replica.port)
    remote.kill()
    remote.start()
    until(
        lambda: "is reached" in remote.log.read_text().rpartition("holding")[2],
        f"{remote.name} does not connect",
        PATIENCE,
    )
    return remote


def address(remote: Remote) -> str:
    """Where it comes from."""
    return ADDRESSES[remote.name]


def who_sleeps(house: House) -> tuple[Replica, Replica] | None:
    """The replica that has stopped, and the other one."""
    first, second = house.scene.replicas
    if first.strings.was_reached:
        return first, second
    return (second, first) if second.strings.was_reached else None


def is_reached(house: House, machine: str) -> bool:
    aims = [aim for aim in targets(house.scene, "carol") if (aim.machine, aim.port, aim.source) == (machine, 22, CAROL)]
    assert aims
    return bool(house.scene.places["carol"].inside(lambda: knock(aims)))


def stays_shut(house: House, machine: str, seconds: float) -> bool:
    """Whether nobody gets in for so long."""
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        if is_reached(house, machine):
            return False
    return True
