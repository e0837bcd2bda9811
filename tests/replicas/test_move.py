"""An installation moves from its file to PostgreSQL while a port that it has opened stays open."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.netns import ALICE4, HOST4, Network
from tests.postgresql import cluster
from tests.processes import Jitgate, until

pytestmark = pytest.mark.needs_root


def test_a_port_that_is_open_stays_so_across_the_move_and_shuts_at_its_deadline(
    tmp_path: Path, network: Network
) -> None:
    name = cluster().create()
    url = cluster().url(name)
    here = Jitgate(tmp_path / "data", {"web-1": network.host.name})
    with network.host.listen(22):
        with here:
            here.enable("web-1")
            grant = here.open("web-1", ALICE4, seconds=40)
            refused = here.run("db", "copy", "--to", url)
            assert refused.returncode == 2
            assert "Another jitgate" in refused.stderr, "nothing is moved from under a server"
        assert network.alice.can_connect(HOST4, 22)
        moved = here.run("db", "copy", "--to", url)
        assert moved.returncode == 0, moved.stderr
        assert "seal" in moved.stdout
        with Jitgate(here.directory, {}, {"JITGATE_DATABASE": url}) as there:
            assert there.grant(grant["id"])["state"] == "open"
            assert network.alice.can_connect(HOST4, 22)
            left = (datetime.fromisoformat(grant["endTimeUtc"]) - datetime.now(UTC)).total_seconds()
            assert left > 0, "it took too long to see anything"
            time.sleep(left + 0.05)
            assert not network.alice.can_connect(HOST4, 22)
            until(lambda: there.grant(grant["id"])["state"] == "closed", "it does not close")
            there.supervisor.terminate()
            there.supervisor.terminate()
    cluster().drop(name)
