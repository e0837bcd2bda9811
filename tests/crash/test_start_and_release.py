"""kill -9 at the start and in a release: it starts all the same, and a host can always be released."""

from pathlib import Path

import pytest
from tests.crash.story import AT_THE_START, IN_A_RELEASE, IN_THE_RELEASING_COMMAND, installation, protect
from tests.netns import ALICE4, HOST4, Listener, Network
from tests.processes import until

pytestmark = pytest.mark.needs_root


@pytest.mark.parametrize("name", [*AT_THE_START, "store.before_commit", "store.after_commit", "hosts.nft.after"])
def test_killed_at_the_start_it_starts_all_the_same(
    network: Network, listener: Listener, armed: Path, name: str
) -> None:
    armed.touch()
    with installation(armed, network, name) as jitgate:
        protect(jitgate)
        assert not armed.exists(), "nobody died: this proves nothing"
        assert not network.alice.can_connect(HOST4, 22)


@pytest.mark.parametrize("name", [*IN_A_RELEASE, *IN_THE_RELEASING_COMMAND])
def test_killed_in_a_release_the_host_can_still_be_released_and_it_is_on_record_once(
    network: Network, listener: Listener, armed: Path, name: str
) -> None:
    with installation(armed, network, name) as jitgate:
        protect(jitgate)
        armed.touch()
        if name == "host.release.before_opening":
            jitgate.kill_all()  # only then does the command itself open
        jitgate.run("host", "release", "-m", "no way in")
        assert not armed.exists(), "nobody died: this proves nothing"
        again = jitgate.run("host", "release", "-m", "no way in")
        assert again.returncode == 0, again.stderr
        until(lambda: network.alice.can_connect(HOST4, 22, source=ALICE4), "released, and still shut")
        if jitgate.supervisor.poll() is not None:
            jitgate.start()
        until(lambda: jitgate.activity("scopes/release"), "the release is not on record")
        assert network.alice.can_connect(HOST4, 22), "a start does not undo a release"
