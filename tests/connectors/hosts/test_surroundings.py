"""Namespaces, what a host tells of itself, the boot ruleset, and whether another firewall denies a port."""

import contextlib
import socket
from pathlib import Path

import pytest
from tests.connectors.hosts.scene import PORT
from tests.netns import ALICE4, BOB4, HOST4, HOST6, Namespace, Network

from jitgate.agent.command import STATE
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import boot, facts, netns, outranked
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.nft import Nft
from jitgate.connectors.hosts.roster import Host
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.prefixes import Prefix

TCP_22 = {(Protocol.TCP, 22): SessionEnd.KEEP}


@pytest.mark.parametrize("name", ["", "..", "../../proc/1/ns/net", "a/b", "-n", "a" * 64, "a\n", "a b", "ä"])
def test_what_could_leave_the_directory_of_namespaces_is_no_name(name: str) -> None:
    with pytest.raises(ConnectorError, match="cannot name a network namespace") as refused:
        netns.run_inside(name, lambda: None)
    assert not refused.value.retry


def test_a_namespace_that_is_not_there_is_told_by_name() -> None:
    with pytest.raises(ConnectorError, match="there is no network namespace 'jg-none'"):
        netns.run_inside("jg-none", lambda: None)


@pytest.mark.needs_root
def test_what_runs_inside_a_namespace_sees_it_and_leaves_the_caller_where_it_was(network: Network) -> None:
    def interfaces() -> set[str]:
        return {name for _, name in socket.if_nameindex()}

    before = interfaces()
    assert "to-1" in network.host.inside(interfaces)
    assert interfaces() == before
    with pytest.raises(ZeroDivisionError):
        network.host.inside(lambda: 1 // 0)


@pytest.mark.needs_root
def test_a_host_tells_its_addresses_and_what_listens(network: Network) -> None:
    found = facts.gather(network.host.name)
    assert {HOST4, HOST6, "10.71.1.1", "fd71:1::1"} <= set(found.addresses)
    assert not any(each.startswith(("127.", "fe80:")) or each == "::1" for each in found.addresses)
    assert {(Protocol.TCP, PORT, "::"), (Protocol.UDP, PORT, "::")} == set(found.listening)
    assert found.as_json()["listening"] == [f"tcp/{PORT} on ::", f"udp/{PORT} on ::"]


@pytest.mark.needs_root
def test_the_boot_ruleset_shuts_the_ports_but_for_what_is_always_allowed(network: Network, tmp_path: Path) -> None:
    ports = {(protocol, PORT): SessionEnd.KEEP for protocol in (Protocol.TCP, Protocol.UDP)}
    boot.write(tmp_path, boot.render(ports, [Prefix(f"{BOB4}/32"), Prefix("fd71:2::/64"), Prefix("fd71:2::2/128")]))
    for _ in range(2):
        network.host.run("nft", "-f", str(tmp_path / boot.FILE))
    assert not network.alice.can_connect(HOST4, PORT)
    assert not network.alice.can_connect(HOST6, PORT)
    assert network.bob.can_connect(HOST4, PORT)
    assert network.bob.can_connect(HOST6, PORT)
    assert network.host.can_connect("127.0.0.1", PORT)


@pytest.mark.parametrize(
    ("unit", "agent"),
    [
        ("jitgate-boot.service", Path("/var/lib/jitgate/agent")),
        ("nftables.service.d/jitgate.conf", Path("/var/lib/jitgate/agent")),
        ("jitgate-agent-boot.service", STATE),
        ("nftables.service.d/jitgate-agent.conf", STATE),
    ],
)
def test_the_units_load_the_file_that_the_agent_writes(unit: str, agent: Path) -> None:
    written = Host("web-1", "uuid").directory(agent) / boot.FILE
    lines = (Path("deploy/systemd") / unit).read_text().splitlines()
    commands = [line for line in lines if line.startswith("Exec")]
    assert commands
    assert all(line.endswith(f"/usr/sbin/nft -f {written}") for line in commands)


@pytest.mark.needs_root
def test_the_boot_ruleset_of_a_host_without_protected_ports_only_removes(network: Network, tmp_path: Path) -> None:
    boot.write(tmp_path, boot.render({(Protocol.TCP, PORT): SessionEnd.END}, ()))
    network.host.run("nft", "-f", str(tmp_path / boot.FILE))
    boot.write(tmp_path, boot.render({}, ()))
    network.host.run("nft", "-f", str(tmp_path / boot.FILE))
    assert network.alice.can_connect(HOST4, PORT)
    assert network.host.run("nft", "list", "tables") == ""


def test_the_boot_ruleset_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot.write(tmp_path, "first")
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        boot.write(tmp_path, "second")
    assert (tmp_path / boot.FILE).read_text() == "first"


def test_the_boot_ruleset_is_not_written_through_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    (tmp_path / "boot.new").symlink_to(elsewhere)
    boot.write(tmp_path, "ruleset")
    assert elsewhere.read_text() == "precious"
    assert (tmp_path / boot.FILE).read_text() == "ruleset"


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("rules", "denied"),
    [
        ("", True),
        ("tcp dport 22 accept", False),
        ("tcp dport 23 accept", True),
        ("udp dport 22 accept", True),
        ("th dport 22 accept", False),
        ("tcp dport { 80, 443 } accept", True),
        ("tcp dport { 80, 20-25 } accept", False),
        ("tcp dport 1000-2000 accept", True),
        ("tcp dport @ports accept", False),
        ("tcp dport != 80 accept", False),
        ("tcp dport 22 drop", True),
        ("ip saddr 10.0.0.0/8 tcp dport 22 accept", False),
        ("ct state established,related accept", True),
        ("ct state { established, new } accept", False),
        ("iif lo accept", True),
        ("iifname eth0 accept", False),
        ("meta l4proto icmp accept", True),
        ("ip protocol tcp accept", False),
        ("jump more", False),
        ("ct state vmap { established : accept, invalid : drop }", True),
        ("ct state vmap { established : accept, new : accept }", False),
        ("tcp dport vmap { 22 : jump more, 80 : accept }", True),
        ("tcp dport vmap @verdicts", False),
        ("tcp dport 80 jump accepting", True),
        ("tcp dport 22 goto accepting", False),
        ("tcp dport 22 drop; tcp dport 22 accept", True),
        ("ip saddr 10.0.0.0/8 drop; tcp dport 22 accept", False),
        ("tcp dport 22 limit rate 1/second drop; tcp dport 22 accept", False),
        ("jump returning; tcp dport 22 accept", False),
        ("jump rejecting; accept", True),
        ("tcp dport != 22 drop; accept", False),
        ("udp dport != 23 drop; accept", False),
        ("ct status dnat accept", True),
    ],
)
def test_a_port_is_called_blocked_only_where_no_rule_can_accept_it(rules: str, denied: bool) -> None:
    """Case HO5. What is not understood is taken for an accept: it must never say "blocked" of what is reachable."""
    with Namespace("strict") as namespace:
        namespace.nft(
            f"""
            table ip strict {{
              set ports {{ type inet_service; }}
              map verdicts {{ type inet_service : verdict; }}
              chain more {{ {"accept;" if rules == "jump more" else ""} }}
              chain accepting {{ accept; }}
              chain returning {{ ip saddr 10.0.0.0/8 return; return; drop; }}
              chain rejecting {{ ip saddr 10.0.0.0/8 tcp dport 80 return; reject; }}
              chain input {{
                type filter hook input priority 0; policy drop;
                {rules}
              }}
            }}
            table ip lenient {{
              chain input {{ type filter hook input priority 0; policy accept; }}
              chain forward {{ type filter hook forward priority 0; policy drop; }}
            }}
            """
        )
        with contextlib.closing(Nft(namespace.name)) as nft, contextlib.closing(Reader(namespace.name)) as reader:
            told = outranked.blocked(nft, reader, TCP_22)
    assert bool(told) is denied
    assert all("table ip strict, chain input drops tcp/22" in each for each in told)


@pytest.mark.needs_root
def test_nft_says_in_its_own_words_why_it_refused_and_changes_nothing() -> None:
    with Namespace("nft") as namespace, contextlib.closing(Nft(namespace.name)) as nft:
        with pytest.raises(ConnectorError, match=r"nft refused: .*No such file or directory"):
            nft.run(["add table inet one", "add rule inet two three accept"])
        assert namespace.run("nft", "list", "tables") == ""
        assert ALICE4 not in namespace.run("nft", "list", "ruleset")
