"""Beside the real ufw and firewalld, and beside the rules that Docker writes: what they do, and what jitgate does.

No Docker engine runs in a namespace. Its rules are written here with the same iptables-nft, as it writes them.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.connectors.hosts.scene import END, PORT, Scene, key, port_key
from tests.firewalls import Firewall, Firewalld, Ufw
from tests.netns import ALICE4, ALICE6, HOST4, HOST6, Namespace
from tests.stalls import Stalls

from jitgate.core.desired import Protocol

pytestmark = pytest.mark.needs_root

PUBLISHED = 8022
BOX4 = "10.71.9.2"
A_MOMENT = 2.0
"""Seconds. firewalld drops everything while it reloads, and ufw while it loads its rules anew; on a slow machine for as
long as that takes there."""

Eventually = Callable[[Callable[[], bool]], bool]


@pytest.fixture(params=[Ufw, Firewalld], ids=["ufw", "firewalld"])
def firewall(request: pytest.FixtureRequest, idle: Scene, tmp_path: Path) -> Iterator[Firewall]:
    """At work on the host before jitgate comes, as on a real one."""
    if shutil.which(request.param.__name__.lower()) is None:
        pytest.skip(f"{request.param.__name__.lower()} is not installed")
    with request.param(idle.network.host, tmp_path) as started:
        yield started


@pytest.fixture
def beside(firewall: Firewall, idle: Scene) -> Scene:
    """The port allowed by the other firewall, and protected by jitgate."""
    firewall.allow(PORT)
    assert reaches(idle.network.bob), "without jitgate it must be open"
    idle.start()
    idle.ask(complete=True)
    return idle


def reaches(client: Namespace, port: int = PORT) -> bool:
    """Over both families."""
    found = {client.can_connect(address, port) for address in (HOST4, HOST6)}
    assert len(found) == 1, "open in one family, shut in the other"
    return found.pop()


def test_a_port_that_another_firewall_allows_is_shut_opens_for_its_source_and_shuts(
    beside: Scene, eventually: Eventually
) -> None:
    alice, bob = beside.network.alice, beside.network.bob
    assert not reaches(alice)
    assert not alice.can_exchange(HOST4, PORT)
    beside.open(f"{ALICE4}/32", f"{ALICE6}/128")
    assert reaches(alice)
    assert not reaches(bob)
    beside.open(f"{ALICE4}/32", f"{ALICE6}/128", seconds=1)
    assert eventually(lambda: not alice.can_connect(HOST4, PORT))
    assert not reaches(alice)
    assert beside.ask(complete=True).outranked == ()


def test_udp_opens_and_shuts_beside_another_firewall(beside: Scene) -> None:
    beside.open(f"{ALICE4}/32", protocol=Protocol.UDP)
    assert beside.network.alice.can_exchange(HOST4, PORT)
    assert not beside.network.bob.can_exchange(HOST4, PORT)
    beside.shut(f"{ALICE4}/32", protocol=Protocol.UDP)
    assert not beside.network.alice.can_exchange(HOST4, PORT)


@pytest.mark.parametrize("upheaval", ["reload", "stop_and_start"])
def test_another_firewall_that_starts_anew_opens_nothing_and_takes_no_grant_away(
    beside: Scene, firewall: Firewall, upheaval: str
) -> None:
    granted = (f"{ALICE4}/32", f"{ALICE6}/128")
    end = beside.open(*granted)
    took: list[float] = []
    with Trying(beside.network.bob) as bob, Trying(beside.network.alice) as alice, Stalls() as stalls:
        for _ in range(2):
            begun = time.monotonic()
            getattr(firewall, upheaval)()
            took.append(time.monotonic() - begun)
        assert reaches(beside.network.alice)
    assert bob.came_in == 0
    assert bob.tries > 3
    assert alice.longest_gap < max(A_MOMENT, *took) + stalls.seconds
    assert not reaches(beside.network.bob)
    report = beside.ask({key(each): end for each in granted}, complete=True)
    assert (report.repaired, report.standing) == ((), {key(each): end for each in granted})


class Trying:
    """Connects again and again, and counts how often it got in and how long it did not."""

    def __init__(self, client: Namespace) -> None:
        self._client = client
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._try, daemon=True)
        self.tries = self.came_in = 0
        self.longest_gap = 0.0

    def _try(self) -> None:
        last = time.monotonic()
        while not self._ended.is_set():
            self.tries += 1
            if self._client.can_connect(HOST4, PORT, timeout=0.1):
                self.came_in += 1
                last = time.monotonic()
            self.longest_gap = max(self.longest_gap, time.monotonic() - last)
            self._ended.wait(0.01)

    def __enter__(self) -> "Trying":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def test_a_port_that_another_firewall_denies_is_told_and_stays_shut(firewall: Firewall, idle: Scene) -> None:
    """Case HO5: a grant opens nothing there, and jitgate does not claim it."""
    idle.start()
    told = idle.ask(complete=True).outranked
    assert any(f"drops tcp/{PORT}" in each for each in told)
    assert any(f"drops udp/{PORT}" in each for each in told)
    assert all(each.startswith("blocked by host firewall: table ") for each in told)
    idle.open(f"{ALICE4}/32", f"{ALICE6}/128")
    assert not reaches(idle.network.alice)
    firewall.allow(PORT)
    assert reaches(idle.network.alice)
    assert idle.ask(complete=True).outranked == ()
    firewall.take_back(PORT)
    assert not reaches(idle.network.alice)
    assert idle.ask(complete=True).outranked == told


@pytest.fixture
def box(idle: Scene) -> Iterator[Namespace]:
    """A container behind the host, that answers at port 22."""
    made = idle.network.add("box", 9)
    with made.listen(22):
        yield made


def publish_as_docker(host: Namespace) -> None:
    """``docker run --publish 8022:22``, in the words that dockerd gives to iptables."""
    for command in (
        "-t nat -N DOCKER",
        "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        f"-t nat -A DOCKER ! -i to-9 -p tcp -m tcp --dport {PUBLISHED} -j DNAT --to-destination {BOX4}:22",
        "-N DOCKER",
        "-I FORWARD -o to-9 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-I FORWARD -i to-9 -j ACCEPT",
        "-I FORWARD -o to-9 -j DOCKER",
        f"-A DOCKER -d {BOX4}/32 ! -i to-9 -o to-9 -p tcp -m tcp --dport 22 -j ACCEPT",
    ):
        host.run("iptables-nft", *command.split())


@pytest.fixture
def published(firewall: Firewall, idle: Scene, box: Namespace) -> Scene:
    """The container's port published beside each of the firewalls, and protected under the number that clients use."""
    if isinstance(firewall, Firewalld):
        firewall.lasting(f"--add-forward-port=port={PUBLISHED}:proto=tcp:toport=22:toaddr={BOX4}")
    else:
        publish_as_docker(idle.network.host)
    assert idle.network.bob.can_connect(HOST4, PUBLISHED), "without jitgate it must be open"
    idle.ports = {port_key(PUBLISHED): END}
    idle.start()
    return idle


def test_a_published_port_is_shut_unless_granted_beside_another_firewall(published: Scene) -> None:
    """Case HO3. ufw and firewalld do not see the port at their input chains, so they are not said to block it."""
    assert published.ask(complete=True).outranked == ()
    alice, bob = published.network.alice, published.network.bob
    assert not alice.can_connect(HOST4, PUBLISHED)
    published.ask({key(f"{ALICE4}/32", PUBLISHED): in_five_minutes(published)})
    assert alice.can_connect(HOST4, PUBLISHED)
    assert not bob.can_connect(HOST4, PUBLISHED)
    published.ask({key(f"{ALICE4}/32", PUBLISHED): None})
    assert not alice.can_connect(HOST4, PUBLISHED)


def test_a_published_port_stays_shut_while_another_firewall_starts_anew(published: Scene, firewall: Firewall) -> None:
    published.ask(complete=True)
    firewall.reload()
    assert not published.network.bob.can_connect(HOST4, PUBLISHED)
    published.ask({key(f"{ALICE4}/32", PUBLISHED): in_five_minutes(published)})
    assert published.network.alice.can_connect(HOST4, PUBLISHED)


def test_a_host_tells_what_is_published_beside_another_firewall(published: Scene) -> None:
    assert published.enforcer.facts().published == (f"tcp/{PUBLISHED} to {BOX4}:22",)


def test_rules_of_iptables_legacy_are_not_read_and_that_is_told(idle: Scene) -> None:
    """The kernel holds them apart from nf_tables. Another program's "nothing is in the way" would be worth nothing."""
    host = idle.network.host
    idle.start()
    assert idle.ask(complete=True).outranked == ()
    assert idle.enforcer.facts().published == ()
    try:
        host.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", str(PORT), "-j", "DROP")
        host.run("ip6tables-legacy", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "8022", "-j", "ACCEPT")
    except AssertionError as error:
        pytest.skip(f"this kernel has no iptables-legacy: {error}")
    [denied] = idle.ask(complete=True).outranked
    assert "a filter table here, whose rules are not read" in denied
    [published] = idle.enforcer.facts().published
    assert "a nat table here, whose rules are not read" in published


def in_five_minutes(scene: Scene) -> datetime:
    return scene.clock.wall() + timedelta(minutes=5)
