"""Ports that lead elsewhere, read from real rules of nftables and of iptables-nft."""

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from tests.netns import HOST4, HOST6, Namespace

from jitgate.connectors.hosts import published
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.nft import Nft
from jitgate.connectors.hosts.published import Lookout

pytestmark = pytest.mark.needs_root

OWN = (HOST4, HOST6)


@pytest.fixture
def host() -> Iterator[Namespace]:
    with Namespace("publishing") as made:
        made.ip(f"addr add {HOST4}/32 dev lo", f"addr add {HOST6}/128 dev lo nodad")
        yield made


def told(host: Namespace) -> list[str]:
    with contextlib.closing(Nft(host.name)) as nft, contextlib.closing(Reader(host.name)) as reader:
        return [str(each) for each in published.find(nft, reader, OWN)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("tcp dport 8080 dnat ip to 172.17.0.2:80", ["tcp/8080 to 172.17.0.2:80"]),
        ("tcp dport 8080 dnat ip6 to [fd00::2]:80", ["tcp/8080 to [fd00::2]:80"]),
        ("udp dport 53 dnat ip to 172.17.0.2", ["udp/53 to 172.17.0.2"]),
        ("tcp dport { 80, 443 } dnat ip to 172.17.0.2", ["tcp/80 to 172.17.0.2", "tcp/443 to 172.17.0.2"]),
        ("tcp dport 8000-8010 dnat ip to 172.17.0.2", ["tcp/8000-8010 to 172.17.0.2"]),
        ("tcp dport 9022 redirect to :22", ["tcp/9022 to port 22"]),
        ("meta l4proto { tcp, udp } th dport 53 dnat ip to 10.0.0.1", ["tcp/53 to 10.0.0.1", "udp/53 to 10.0.0.1"]),
        ("meta l4proto tcp dnat ip to 10.0.0.1", ["tcp/1-65535 to 10.0.0.1"]),
        ("fib daddr type local tcp dport 80 dnat ip to 10.0.0.1:80", ["tcp/80 to 10.0.0.1:80"]),
        ("tcp dport 80 jump web", ["tcp/80 to 10.0.0.1:8080"]),
        ("tcp dport vmap { 80 : goto web, 81 : accept }", ["tcp/80 to 10.0.0.1:8080"]),
        ("dnat ip to tcp dport map { 80 : 10.0.0.1, 81 : 10.0.0.2 }", ["tcp/80 to 10.0.0.1", "tcp/81 to 10.0.0.2"]),
        ("dnat ip addr . port to tcp dport map { 80 : 10.0.0.1 . 8080 }", ["tcp/80 to 10.0.0.1:8080"]),
        ("dnat ip to tcp dport map @targets", ["tcp/some ports to what map targets says"]),
        ("tcp dport @named dnat ip to 10.0.0.1", ["tcp/some ports to 10.0.0.1"]),
        (f"ip daddr {HOST4} tcp dport 80 dnat ip to 10.0.0.1", [f"tcp/80 on {HOST4} to 10.0.0.1"]),
        ("ip daddr 127.0.0.1 tcp dport 80 dnat ip to 10.0.0.1", ["tcp/80 on 127.0.0.1 to 10.0.0.1"]),
        ("ip daddr 192.0.2.7 tcp dport 80 dnat ip to 10.0.0.1", []),
        ("tcp dport 80 accept", []),
        ("icmp type echo-request dnat ip to 10.0.0.1", []),
    ],
)
def test_a_rule_that_sends_packets_elsewhere_publishes_its_ports(
    host: Namespace, rule: str, expected: list[str]
) -> None:
    host.nft(
        f"""
        table inet others {{
          set named {{ type inet_service; }}
          map targets {{ type inet_service : ipv4_addr; }}
          chain web {{ meta l4proto tcp dnat ip to 10.0.0.1:8080; }}
          chain unused {{ tcp dport 99 dnat ip to 10.0.0.1; }}
          chain going_out {{ type nat hook output priority -100; tcp dport 98 dnat ip to 10.0.0.1; }}
          chain arriving {{ type nat hook prerouting priority -100; {rule}; }}
        }}
        """
    )
    assert told(host) == expected


def test_what_docker_publishes_is_told(host: Namespace) -> None:
    """In the words that dockerd gives to iptables: everywhere, on one address, a range, and over IPv6."""
    if shutil.which("iptables-nft") is None:
        pytest.skip("iptables is not installed")
    for command in (
        "iptables-nft -t nat -N DOCKER",
        "iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "iptables-nft -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        "iptables-nft -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "iptables-nft -t nat -A DOCKER -i docker0 -j RETURN",
        "iptables-nft -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
        "iptables-nft -t nat -A DOCKER -d 127.0.0.1/32 -p udp --dport 5000:5010 -j DNAT --to 172.17.0.3:6000-6010",
        "iptables-nft -t nat -A PREROUTING -p tcp --dport 9022 -j REDIRECT --to-ports 22",
        "ip6tables-nft -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination [fd00::2]:80",
        "ip6tables-nft -t nat -A PREROUTING -p tcp --dport 9022 -j REDIRECT --to-ports 22",
    ):
        host.run(*command.split())
    assert told(host) == [
        "tcp/8080 to 172.17.0.2:80",
        "tcp/8080 to [fd00::2]:80",
        "tcp/9022 to port 22",
        "udp/5000-5010 on 127.0.0.1 to 172.17.0.3:6000-6010",
    ]


def test_more_than_can_be_told_is_cut_off(host: Namespace) -> None:
    rules = "\n".join(f"tcp dport {port} dnat ip to 10.0.0.1:{port}" for port in range(1000, 1300))
    host.nft(f"table ip many {{ chain arriving {{ type nat hook prerouting priority -100; {rules}\n }}; }}")
    assert len(told(host)) == published.MOST


def test_rules_are_read_again_only_after_a_change(host: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host is asked every minute, and may have thousands of rules."""
    with contextlib.closing(Reader(host.name)) as reader:
        lookout = Lookout(host.name, reader)
        assert lookout.now() == []
        host.nft("table ip web { chain p { type nat hook prerouting priority -100; tcp dport 80 redirect to :81; }; }")
        assert [str(each) for each in lookout.now()] == ["tcp/80 to port 81"]
        with monkeypatch.context() as patched:
            patched.setattr(published, "find", lambda *_: pytest.fail("read again"))
            assert len(lookout.now()) == 1
        host.nft("delete table ip web")
        assert lookout.now() == []
