"""One host in the agent's hands, in a network namespace."""

import queue
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.netns import Namespace, run

from jitgate.agent import generation
from jitgate.agent.generation import Generation
from jitgate.agent.post import Post
from jitgate.clock import SystemClock
from jitgate.connectors.base import ConnectorError, GenerationBehind
from jitgate.connectors.hosts import orders, releases
from jitgate.connectors.hosts.enforcer import Enforcer
from jitgate.connectors.hosts.messages import Answer, Applied, Apply, Failed, Happened, Kind
from jitgate.connectors.hosts.orders import Order
from jitgate.connectors.hosts.roster import Host
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol
from jitgate.core.prefixes import Prefix

pytestmark = pytest.mark.needs_root

UUID = "11111111-1111-1111-1111-111111111111"
SSH = PortKey(UUID, 22, Protocol.TCP)
KEY = AccessKey(UUID, 22, Protocol.TCP, Prefix("203.0.113.7/32"))
CLOCK = SystemClock()


class Told:
    """A post, and what it says."""

    def __init__(self, namespace: str, directory: Path, joined_as: str = "") -> None:
        self._said: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.host = Host("web-1", UUID, namespace, joined_as=joined_as)
        self.post = Post(self.host, directory, CLOCK, self._said.put)
        self.post.start()

    def next(self) -> Answer:
        return self._said.get(timeout=60)

    def apply(self, generation: int = 1, *, worked_out: float | None = None, seconds: float = 60) -> Answer:
        now = CLOCK.wall()
        access = {KEY: now + timedelta(seconds=seconds)}
        desired = Desired(
            self.host.scope, generation, now, frozenset({UUID}), {SSH: Protection()}, access, complete=True
        )
        self.post.apply(Apply(generation, desired, CLOCK.elapsed() if worked_out is None else worked_out))
        return self.next()


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace("post") as made:
        yield made


@pytest.fixture
def told(namespace: Namespace, tmp_path: Path) -> Told:
    return Told(namespace.name, tmp_path)


def test_what_is_asked_for_stands_and_is_reported(told: Told) -> None:
    answer = told.apply()
    assert isinstance(answer, Applied)
    assert set(answer.report.standing) == {KEY}
    assert answer.report.protected == {SSH: ""}


def test_an_older_generation_is_refused_with_the_one_that_stands(told: Told) -> None:
    told.apply(7)
    answer = told.apply(6)
    assert isinstance(answer, Failed)
    assert answer.current == 7


def test_a_host_elsewhere_refuses_an_older_generation_also_when_its_agent_was_started_anew(
    namespace: Namespace, tmp_path: Path
) -> None:
    """Whoever replays what the server once said opens nothing by it."""
    Generation(tmp_path).keep(7)  # by the agent that was here before
    told = Told(namespace.name, tmp_path, "fleet/jitgate/web-1")
    answer = told.apply(6)
    assert isinstance(answer, Failed)
    assert answer.current == 7
    assert isinstance(told.apply(8), Applied)
    with pytest.raises(GenerationBehind):
        Generation(tmp_path).check(7)


def test_a_generation_that_a_full_disk_left_empty_is_none(tmp_path: Path) -> None:
    (tmp_path / generation.FILE).touch()
    kept = Generation(tmp_path)
    kept.check(1)
    kept.keep(3)
    with pytest.raises(GenerationBehind):
        Generation(tmp_path).check(2)
    (tmp_path / generation.FILE).write_text("7 or so")
    with pytest.raises(ConnectorError, match="is damaged; remove it"):
        Generation(tmp_path).check(9)


def test_what_took_too_long_on_its_way_is_not_opened_any_more(told: Told) -> None:
    answer = told.apply(worked_out=CLOCK.elapsed() - 10, seconds=9)
    assert isinstance(answer, Applied)
    assert not answer.report.standing
    assert answer.report.shut == {KEY}


def test_a_namespace_that_is_not_there_makes_the_host_unsupported_and_says_so(tmp_path: Path) -> None:
    told = Told("jg-none", tmp_path)
    assert "jg-none" in told.post.facts().unsupported
    answer = told.apply()
    assert isinstance(answer, Failed)
    assert "jg-none" in answer.message


def test_a_namespace_that_was_made_anew_is_taken_up_anew_and_the_server_told(told: Told, namespace: Namespace) -> None:
    told.apply()
    namespace.close()
    run(["ip", "netns", "add", namespace.name])
    assert not told.post.facts().unsupported
    shut, answer = told.next(), told.next()
    assert isinstance(shut, Happened)
    assert "its ports are shut" in shut.detail
    assert isinstance(answer, Happened)
    assert answer.kind is Kind.STARTED
    assert isinstance(told.apply(2), Applied)
    assert "jitgate" in namespace.run("nft", "list", "tables")


def test_a_host_that_is_held_stays_supported_when_it_cannot_be_looked_at(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has all ports of an unsupported machine opened: a passing trouble must not come to that."""
    told.apply()
    known = told.post.facts()
    monkeypatch.setattr(Enforcer, "facts", fails)
    assert told.post.facts() == known


def test_what_is_desired_of_an_unsupported_host_is_not_done_to_one_that_can_be_held_again(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(namespace.name, tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(Post, "_held", fails)
        assert told.post.facts().unsupported
    assert isinstance(told.apply(), Failed)
    assert not told.post.facts().unsupported
    assert isinstance(told.apply(2), Applied)


def fails(_: object) -> None:
    raise ConnectorError("the firewall is being changed too fast to be read; try again")


def test_an_order_is_carried_out_recorded_and_told(told: Told, namespace: Namespace, tmp_path: Path) -> None:
    told.apply()
    orders.give(tmp_path, Order(True, "root", "locked out", CLOCK.wall()))
    told.post.reread()
    answer = told.next()
    assert isinstance(answer, Happened)
    assert (answer.kind, answer.by, answer.why) == (Kind.RELEASED, "root", "locked out")
    assert "jitgate" not in namespace.run("nft", "list", "tables")
    assert orders.standing(tmp_path, CLOCK.wall()) is None
    assert releases.standing(tmp_path) is not None


def test_an_order_that_was_given_while_nobody_ran_is_carried_out_at_the_start(
    namespace: Namespace, tmp_path: Path
) -> None:
    orders.give(tmp_path, Order(True, "root", "locked out", CLOCK.wall()))
    told = Told(namespace.name, tmp_path)
    answer = told.next()
    assert isinstance(answer, Happened)
    assert answer.kind is Kind.RELEASED


def test_an_order_that_a_dead_agent_had_on_record_is_not_recorded_twice(namespace: Namespace, tmp_path: Path) -> None:
    releases.record(tmp_path, released=True, by="root", why="locked out", at=CLOCK.wall())
    orders.give(tmp_path, Order(True, "root", "locked out", CLOCK.wall()))
    told = Told(namespace.name, tmp_path)
    assert isinstance(told.next(), Happened)
    assert len((tmp_path / releases.FILE).read_text().splitlines()) == 1
    assert orders.standing(tmp_path, CLOCK.wall()) is None
