"""kill -9 at every commit and at every call to something outside: nothing is open too long, nothing is lost."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.story import MACHINE, assert_kept, assert_shut_in_the_end, protect, tell
from tests.netns import ALICE4, HOST4, Listener, Network
from tests.processes import Jitgate, until

pytestmark = pytest.mark.needs_root

IN_THE_STORY = (
    "agent.after_apply",
    "agent.before_apply",
    "agent.link.after_send",
    "agent.link.before_send",
    "agent.link.received",
    "hosts.nft.after",
    "hosts.nft.before",
    "link.after_send",
    "link.before_send",
    "link.received",
    "reconcile.applied",
    "reconcile.claimed",
    "reconcile.recorded",
    "store.after_commit",
    "store.before_commit",
)
AT_THE_START = ("agent.after_take_up", "agent.before_take_up", "hosts.boot.written")
IN_A_RELEASE = ("agent.after_order", "agent.before_order", "hosts.release.recorded")
IN_THE_RELEASING_COMMAND = ("host.order.given", "host.release.before_opening")

LONG_PROFILE = os.environ.get("JITGATE_PROFILE") == "long"
HITS = range(1, 13) if LONG_PROFILE else (3,)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture(scope="module")
def listener(network: Network) -> Iterator[Listener]:
    with network.host.listen(22) as made:
        yield made


@pytest.fixture
def armed(tmp_path: Path) -> Path:
    """While this file exists, the failpoint that was asked for kills. The server may write nowhere else."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "armed"


def installation(tmp_path: Path, network: Network, armed: Path, failpoint: str = "") -> Jitgate:
    environment = {"JITGATE_FAILPOINT_WHILE": str(armed), "JITGATE_FAILPOINT_LOG": str(armed.with_name("reached"))}
    if failpoint:
        environment["JITGATE_FAILPOINT"] = failpoint
    return Jitgate(tmp_path / "data", {MACHINE: network.host.name}, environment)


@pytest.mark.xdist_group("crash-0")
def test_every_failpoint_of_the_code_is_tried_here() -> None:
    source = Path(__file__).parents[2] / "src" / "jitgate"
    found = {name for file in source.rglob("*.py") for name in failpoints_of(file)}
    assert found == {*IN_THE_STORY, *AT_THE_START, *IN_A_RELEASE, *IN_THE_RELEASING_COMMAND}


@pytest.mark.xdist_group("crash-0")
def test_the_story_reaches_every_failpoint_that_it_is_cut_short_at(
    tmp_path: Path, network: Network, listener: Listener, armed: Path
) -> None:
    with installation(tmp_path, network, armed) as jitgate:
        told = tell(jitgate)
        assert_kept(jitgate, network, told)
        assert_shut_in_the_end(jitgate, network, told)
    reached = set(armed.with_name("reached").read_text().split())
    assert reached >= {*IN_THE_STORY, *AT_THE_START}


@pytest.mark.parametrize(
    ("name", "hit"),
    [
        pytest.param(name, hit, marks=pytest.mark.xdist_group(f"crash-{number % 2}"))
        for number, (name, hit) in enumerate((name, hit) for name in IN_THE_STORY for hit in HITS)
    ],
)
def test_killed_in_the_story_nothing_is_open_too_long_and_nothing_is_lost(
    tmp_path: Path, network: Network, listener: Listener, armed: Path, name: str, hit: int
) -> None:
    with installation(tmp_path, network, armed, f"{name}:{hit}") as jitgate:
        protect(jitgate)
        armed.touch()
        told = tell(jitgate)
        if not LONG_PROFILE:
            assert not armed.exists(), "nobody died: this proves nothing"
        assert_kept(jitgate, network, told)
        assert_shut_in_the_end(jitgate, network, told)


@pytest.mark.xdist_group("crash-1")
@pytest.mark.parametrize("name", [*AT_THE_START, "store.before_commit", "store.after_commit", "hosts.nft.after"])
def test_killed_at_the_start_it_starts_all_the_same(
    tmp_path: Path, network: Network, listener: Listener, armed: Path, name: str
) -> None:
    armed.touch()
    with installation(tmp_path, network, armed, name) as jitgate:
        protect(jitgate)
        assert not armed.exists(), "nobody died: this proves nothing"
        assert not network.alice.can_connect(HOST4, 22)


@pytest.mark.xdist_group("crash-0")
@pytest.mark.parametrize("name", [*IN_A_RELEASE, *IN_THE_RELEASING_COMMAND])
def test_killed_in_a_release_the_host_can_still_be_released_and_it_is_on_record_once(
    tmp_path: Path, network: Network, listener: Listener, armed: Path, name: str
) -> None:
    with installation(tmp_path, network, armed, name) as jitgate:
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


def failpoints_of(file: Path) -> Iterator[str]:
    """The names in the calls of `failpoint` in a file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
            [name] = node.args
            assert isinstance(name, ast.Constant), f"{file.name}:{node.lineno}: a failpoint's name is written out"
            yield str(name.value)
