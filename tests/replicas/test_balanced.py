"""Two replicas behind a balancer, and a host elsewhere that reaches them through it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest
from tests.balancer import Balancer
from tests.joined import Joined
from tests.netns import ALICE4, BOB4, HOST4, Network
from tests.postgresql import database, execute
from tests.processes import Jitgate, share_keys, sleep_past_end, until
from tests.replicas.conftest import replica

pytestmark = pytest.mark.needs_root


@dataclass
class Balanced:
    """`web-1` is the host in alice's namespace; bob asks."""

    url: str
    balancer: Balancer
    replicas: tuple[Jitgate, Jitgate]

    def is_ready(self, replica: Jitgate, expected: bool) -> bool:
        return self.balancer.is_ready(replica.port) is expected

    def home(self) -> Jitgate:
        """The replica that the host's agent talks to."""
        return until(self._home, "the agent talks to no replica")

    def _home(self) -> Jitgate | None:
        [(home,)] = execute(self.url, "SELECT home FROM scope_state WHERE connector = 'fleet'")
        names = {(each.directory / "replica").read_text().strip(): each for each in self.replicas}
        return names.get(str(home))


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Iterator[Balanced]:
    place = tmp_path_factory.mktemp("balanced")
    with database() as url, replica(place / "one", url, network) as one:
        two = replica(place / "two", url, network)
        share_keys(one, two)
        web = Joined(network.alice, place / "web", "web-1")
        with two, Balancer(network.host, HOST4, [one.port, two.port]) as balancer, web, network.alice.listen(22):
            token, pin = web.token(one)
            done = web.run("join", balancer.url, "--token", token, "--ca-pin", pin, "--name", "web-1")
            assert done.returncode == 0, done.stderr
            web.start()
            web.protect(one)
            yield Balanced(url, balancer, (one, two))


@dataclass
class Crowd:
    """Clients that ask all the time. `failures`: whatever was not answered as it should be; `asked`: requests."""

    network: Network
    jitgate: Jitgate
    url: str
    failures: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    reads: int = 0
    _ending: threading.Event = field(default_factory=threading.Event)

    def run(self, act: Callable[[httpx.Client], None]) -> threading.Thread:
        thread = threading.Thread(target=lambda: self.network.host.inside(lambda: self._ask(act)), daemon=True)
        thread.start()
        return thread

    def end(self) -> None:
        self._ending.set()

    def _ask(self, act: Callable[[httpx.Client], None]) -> None:
        with self.jitgate.client() as client:
            client.base_url = httpx.URL(self.url)
            while not self._ending.is_set():
                try:
                    act(client)
                except Exception as error:  # noqa: BLE001 - any failure is what is looked for
                    self.failures.append(repr(error))

    def read(self, client: httpx.Client) -> None:
        answer = client.get("/api/v1/whoami")
        assert answer.status_code == 200, answer.text
        self.reads += 1
        time.sleep(0.02)

    def ask(self, client: httpx.Client) -> None:
        """A request that is granted or joins one that stands; waited for, as the command line does."""
        ports = [{"number": 22, "sources": ["192.0.2.9"], "duration": "PT30M"}]
        body: dict[str, Any] = {"machines": [{"id": "web-1", "ports": ports}], "justification": "test"}
        answer = client.post("/api/v1/requests?wait=5", json=body)
        assert answer.is_success, answer.text
        self.asked.append(answer.json()["id"])
        time.sleep(0.1)


def test_a_rolling_restart_loses_no_request_and_leaves_nothing_behind(balanced: Balanced, network: Network) -> None:
    crowd = Crowd(network, balanced.replicas[0], balanced.balancer.url)
    threads = [crowd.run(act) for act in (crowd.read, crowd.read, crowd.ask)]
    for each in balanced.replicas:
        before = len(crowd.asked)
        name = (each.directory / "replica").read_text().strip()
        assert held(balanced.url, name)["replica"] == 1
        each.supervisor.terminate()
        # Not ready first, and then still there for whoever has not seen it yet.
        until(partial(balanced.is_ready, each, False), "it stays ready")
        assert network.host.inside(partial(says_goodbye, each))
        assert each.supervisor.wait(90) == 0
        assert set(held(balanced.url, name).values()) == {0}
        each.start()
        until(partial(balanced.is_ready, each, True), "it does not get ready")
        assert len(crowd.asked) > before, "nothing was answered meanwhile"
    crowd.end()
    for thread in threads:
        thread.join(90)
    assert crowd.failures == []
    assert crowd.reads > 20
    kept = {row[0] for row in execute(balanced.url, "SELECT uid FROM request")}
    assert set(crowd.asked) <= kept


def says_goodbye(replica: Jitgate) -> bool:
    """Whether a replica still answers, and has its clients connect elsewhere afterwards."""
    with replica.client() as client:
        answer = client.get("/api/v1/whoami")
    return answer.status_code == 200 and answer.headers["connection"] == "close"


def held(url: str, replica: str) -> dict[str, object]:
    """How much a replica holds: its place among them, duties, leases."""
    columns = {"replica": "name", "duty": "owner", "scope_state": "lease_owner"}
    count = "SELECT count(*) FROM {} WHERE {} = '{}'"
    return {table: execute(url, count.format(table, column, replica))[0][0] for table, column in columns.items()}


def test_a_host_whose_replica_is_killed_gets_its_state_from_another(balanced: Balanced, network: Network) -> None:
    killed = balanced.home()
    other = next(each for each in balanced.replicas if each is not killed)
    grant = other.open("web-1", BOB4, seconds=600)
    assert network.bob.can_connect(ALICE4, 22)
    killed.kill_all()
    until(lambda: balanced.home() is other, "the agent does not find the other replica")
    more = other.open("web-1", HOST4, seconds=60)
    assert network.host.can_connect(ALICE4, 22, source=HOST4)
    assert network.bob.can_connect(ALICE4, 22), "what was open stays so"
    other.call("POST", f"/api/v1/grants/{more['id']}/close?wait=60")
    assert not network.host.can_connect(ALICE4, 22, source=HOST4)
    grant = other.call("POST", f"/api/v1/grants/{grant['id']}/shorten?wait=60", {"duration": "PT2S"})
    sleep_past_end(grant)
    assert not network.bob.can_connect(ALICE4, 22)
    until(lambda: other.grant(grant["id"])["state"] == "closed", "it does not close")
