"""An installation moves from its file to PostgreSQL while a port that it has opened stays open."""

from pathlib import Path

import pytest
from tests.netns import ALICE4, HOST4, Network
from tests.postgresql import cluster
from tests.processes import Jitgate, sleep_past_end, until

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
            grant = here.open("web-1", ALICE4, seconds=3600)
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
            grant = there.call("POST", f"/api/v1/grants/{grant['id']}/shorten?wait=60", {"duration": "PT2S"})
            sleep_past_end(grant)
            assert not network.alice.can_connect(HOST4, 22)
            until(lambda: there.grant(grant["id"])["state"] == "closed", "it does not close")
            there.supervisor.terminate()
            there.supervisor.terminate()
    cluster().drop(name)
