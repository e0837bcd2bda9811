"""kill -9 at every commit and at every call to something outside: nothing is open too long, nothing is lost."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.aws.test_deaths import FAILPOINTS as IN_AWS
from tests.connectors.azure.test_deaths import FAILPOINTS as IN_AZURE
from tests.crash.story import (
    AT_THE_START,
    IN_A_NOTIFICATION,
    IN_A_RELEASE,
    IN_THE_RELEASING_COMMAND,
    assert_kept,
    assert_shut_in_the_end,
    installation,
    protect,
    tell,
)
from tests.netns import Listener, Network

pytestmark = pytest.mark.needs_root

IN_THE_STORY = (
    "agent.after_apply",
    "agent.before_apply",
    "agent.link.after_send",
    "agent.link.before_send",
    "agent.link.received",
    "audit.head_sent",
    "audit.read_unsealed",
    "audit.sealed",
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
LONG_PROFILE = os.environ.get("JITGATE_PROFILE") == "long"
HITS = range(1, 13) if LONG_PROFILE else (3,)
SOMETIMES = {"audit.head_sent", "audit.read_unsealed", "audit.sealed"}
"""What happens twice a second, however much there is to do: in a story of three seconds not as often as the rest."""


def test_every_failpoint_of_the_code_is_tried_here() -> None:
    source = Path(__file__).parents[2] / "src" / "jitgate"
    found = {name for file in source.rglob("*.py") for name in failpoints_of(file)}
    assert found == {
        *IN_THE_STORY,
        *AT_THE_START,
        *IN_A_NOTIFICATION,
        *IN_A_RELEASE,
        *IN_THE_RELEASING_COMMAND,
        *IN_AZURE,
        *IN_AWS,
    }


def test_the_story_reaches_every_failpoint_that_it_is_cut_short_at(
    network: Network, listener: Listener, armed: Path
) -> None:
    with installation(armed, network) as jitgate:
        told = tell(jitgate)
        assert_kept(jitgate, network, told)
        assert_shut_in_the_end(jitgate, network, told)
    reached = set(armed.with_name("reached").read_text().split())
    assert reached >= {*IN_THE_STORY, *AT_THE_START}


@pytest.mark.parametrize(
    ("name", "hit"),
    [(name, hit) for name in IN_THE_STORY for hit in ((1, 2)[: 1 + LONG_PROFILE] if name in SOMETIMES else HITS)],
)
def test_killed_in_the_story_nothing_is_open_too_long_and_nothing_is_lost(
    network: Network, listener: Listener, armed: Path, name: str, hit: int
) -> None:
    with installation(armed, network, f"{name}:{hit}") as jitgate:
        protect(jitgate)
        armed.touch()
        told = tell(jitgate)
        if not LONG_PROFILE:
            assert not armed.exists(), "nobody died: this proves nothing"
        assert_kept(jitgate, network, told)
        assert_shut_in_the_end(jitgate, network, told)


def failpoints_of(file: Path) -> Iterator[str]:
    """The names in the calls of `failpoint` in a file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
            [name] = node.args
            assert isinstance(name, ast.Constant), f"{file.name}:{node.lineno}: a failpoint's name is written out"
            yield str(name.value)
