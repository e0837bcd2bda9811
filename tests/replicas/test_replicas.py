"""Two replicas as real processes on one PostgreSQL, and a real firewall beside one of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import ALICE4, HOST4, Listener, Namespace, Network
from tests.postgresql import database
from tests.processes import Jitgate, assert_shuts_on_time, left, share_keys, until
from tests.replicas.conftest import NOTICE
from tests.stalls import Stalls

pytestmark = pytest.mark.needs_root
Two = tuple[Jitgate, Jitgate]


@pytest.fixture(scope="module")
def listener(network: Network) -> Iterator[Listener]:
    with network.host.listen(22) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path, network: Network) -> Iterator[Two]:
    """The first has web-1 beside it; the second has a host of its own, and the first one's keys."""
    with database() as url, Namespace("second") as own:
        environment = {"JITGATE_DATABASE": url}
        with Jitgate(tmp_path / "first", {"web-1": network.host.name}, environment, settings=NOTICE) as first:
            second = Jitgate(tmp_path / "second", {"db-1": own.name}, environment, settings=NOTICE)
            share_keys(first, second)
            with second:
                yield first, second


def test_what_one_replica_is_asked_the_other_one_opens_and_closes_on_time_though_the_first_was_killed(
    two: Two, network: Network, listener: Listener
) -> None:
    beside, asked = two
    assert asked.machine("web-1") is not None, "a replica that starts removes nothing that is beside another"
    beside.enable("web-1")
    grant = asked.open("web-1", ALICE4, seconds=9)
    assert network.alice.can_connect(HOST4, 22)
    asked.kill_all()
    assert_shuts_on_time(grant, lambda: network.alice.can_connect(HOST4, 22))
    with Stalls() as stalls:
        until(lambda: beside.grant(grant["id"])["state"] == "closed", "it does not close")
        assert left(grant) > -4 - stalls.seconds
