"""What others do to the same kernel: nothing of it opens a protected port, or shuts an open one for long."""

import json
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from tests.connectors.hosts.scene import END, MACHINE, PORT, SCOPE, Scene, both, key
from tests.netns import ALICE4, ALICE6, HOST4, HOST6
from tests.stalls import Stalls

from jitgate.connectors.base import ConnectorError, Report
from jitgate.connectors.hosts.nf_tables import Element, Reader

pytestmark = pytest.mark.needs_root

Eventually = Callable[[Callable[[], bool]], bool]

FOREIGN_ACCEPTS = f"""
table inet foreign {{
  chain early {{ type filter hook prerouting priority -300; policy accept; tcp dport {PORT} accept; }}
  chain input {{ type filter hook input priority 0; policy accept; tcp dport {PORT} accept; }}
}}
"""


@pytest.fixture
def plain(kernel_without_persist: None, scene: Scene) -> Scene:
    """A scene whose table belongs to nobody, so that other hands can reach it."""
    assert "flags owner" not in scene.ruleset()
    return scene


def repaired(scene: Scene) -> list[str]:
    return [sentence for report in scene.reports for sentence in report.repaired]


def test_a_foreign_table_that_accepts_opens_nothing(scene: Scene) -> None:
    scene.network.host.nft(FOREIGN_ACCEPTS)
    assert not scene.network.alice.can_connect(HOST4, PORT)
    assert "table inet foreign" in scene.tables(), "what others made is left alone"
    scene.open(f"{ALICE4}/32")
    assert scene.network.alice.can_connect(HOST4, PORT)


def test_our_table_does_not_open_what_the_host_firewall_denies(scene: Scene) -> None:
    """Case HO5: it is told, and not shown as reachable."""
    scene.network.host.nft("table ip strict { chain in { type filter hook input priority 0; policy drop; }; }")
    end = scene.open(f"{ALICE4}/32")
    report = scene.ask({key(f"{ALICE4}/32"): end}, complete=True)
    assert not scene.network.alice.can_connect(HOST4, PORT)
    assert [each for each in report.outranked if f"tcp/{PORT}" in each] == [
        f"blocked by host firewall: table ip strict, chain in drops tcp/{PORT}, and no rule of it accepts it"
    ]


def test_a_foreign_flush_leaves_a_table_that_is_owned(scene: Scene) -> None:
    """Case HO1."""
    scene.open(f"{ALICE4}/32")
    before = scene.ruleset().count("timeout")
    scene.network.host.nft("flush ruleset")
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert not scene.network.bob.can_connect(HOST4, PORT)
    assert scene.ruleset().count("timeout") == before
    for edit in ("delete table", "flush table", "add chain"):
        with pytest.raises(AssertionError, match="Operation not permitted"):
            scene.network.host.nft(f"{edit} inet jitgate{' hole' if edit == 'add chain' else ''}")


def test_after_a_foreign_flush_the_port_is_shut_again_and_the_grants_have_the_time_they_had(
    plain: Scene, eventually: Eventually
) -> None:
    """Cases HO1, FW6 and FW15, where the kernel knows no owner."""
    end = plain.open(f"{ALICE4}/32", "10.71.1.0/24", f"{ALICE6}/128", seconds=60)
    time.sleep(1)
    with Stalls() as stalls:
        started = time.monotonic()
        plain.network.host.nft("flush ruleset")
        assert eventually(lambda: bool(plain.reports))
        took = time.monotonic() - started
    assert took < 1 + stalls.seconds
    assert repaired(plain) == ["the table had been removed"]
    assert plain.network.alice.can_connect(HOST4, PORT)
    assert plain.network.alice.can_connect(HOST6, PORT)
    assert not plain.network.bob.can_connect(HOST4, PORT)
    elements = json.loads(plain.network.host.run("nft", "-j", "list", "set", "inet", "jitgate", "open4_32"))
    (element,) = elements["nftables"][1]["set"]["elem"]
    assert element["elem"]["expires"] <= 59
    assert element["elem"]["comment"] == end.isoformat()


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ("delete table inet jitgate", "the table had been removed"),
        ("flush chain inet jitgate guard_in", "the table's rules had been changed"),
        ("insert rule inet jitgate guard_in accept", "the table's rules had been changed"),
        ("flush set inet jitgate ports", "the protected ports had been changed"),
        ("add set inet jitgate more { type ipv4_addr; }", "the table's sets had been changed"),
        ("add chain inet jitgate more", "the table's chains had been changed"),
        ("chain inet jitgate inbound { policy drop; }", "the table's chains had been changed"),
        (f"add element inet jitgate open4_32 {{ 10.71.2.2 . tcp . {PORT} }}", "stood without an end"),
        (f"add element inet jitgate open4_32 {{ 10.71.2.2 . tcp . {PORT} timeout 1h }}", "stood without an end"),
        (f"add element inet jitgate open4_24 {{ 10.71.2.0 . tcp . {PORT} }}", "stood without an end"),
        ("add element inet jitgate open4_24 { 10.71.2.9 . tcp . 22 }", "held what is no key"),
        ("add element inet jitgate open4_32 { 10.71.2.2 . sctp . 22 }", "held what is no key"),
        (f"delete element inet jitgate open4_32 {{ {ALICE4} . tcp . {PORT} }}", "had been removed"),
        ("flush set inet jitgate open4_32", "had been removed"),
    ],
)
def test_a_foreign_edit_is_undone_at_once(plain: Scene, eventually: Eventually, edit: str, told: str) -> None:
    """Cases FW5 and FW6."""
    plain.open(f"{ALICE4}/32", "10.71.1.0/24")
    before = rules_and_elements(plain)
    plain.network.host.nft(edit)
    assert eventually(lambda: bool(plain.reports))
    assert any(told in sentence for sentence in repaired(plain)), repaired(plain)
    assert rules_and_elements(plain) == before
    assert plain.network.alice.can_connect(HOST4, PORT)
    assert not plain.network.bob.can_connect(HOST4, PORT)


def rules_and_elements(scene: Scene) -> list[str]:
    """The lines of the ruleset, with what changes by itself left out."""
    return sorted(line.partition(" timeout ")[0].strip() for line in scene.ruleset().splitlines())


def test_an_element_that_was_made_permanent_gets_its_end_back(plain: Scene, eventually: Eventually) -> None:
    """Case CL12."""
    end = plain.open(f"{ALICE4}/32")
    element = f"inet jitgate open4_32 {{ {ALICE4} . tcp . {PORT} }}"
    plain.network.host.nft(f"delete element {element}\nadd element {element}")
    assert eventually(lambda: bool(plain.reports))
    assert repaired(plain) == [f"open tcp/{PORT} from {ALICE4}/32 stood without an end"]
    assert f"{ALICE4} . tcp . {PORT} timeout" in plain.ruleset()
    assert plain.ask({key(f"{ALICE4}/32"): end}, complete=True).repaired == ()


def test_the_watch_goes_on_after_whatever_went_wrong(plain: Scene, eventually: Eventually) -> None:
    calls: list[Report] = []

    def fail_once(report: Report) -> None:
        calls.append(report)
        if len(calls) == 1:
            raise ZeroDivisionError

    plain.enforcer._on_change = fail_once
    plain.network.host.nft("flush ruleset")
    assert eventually(lambda: len(calls) == 1)
    plain.network.host.nft("flush ruleset")
    assert eventually(lambda: len(calls) == 2)
    assert not plain.network.alice.can_connect(HOST4, PORT)


def test_a_sync_right_after_a_foreign_flush_succeeds(plain: Scene) -> None:
    """The watch may not have told of it yet: here it has to wait for the lock."""
    plain.open(f"{ALICE4}/32")
    with plain.enforcer._lock:
        plain.network.host.nft("flush ruleset")
        plain.open(f"{ALICE6}/128")
    assert plain.network.alice.can_connect(HOST4, PORT)
    assert plain.network.alice.can_connect(HOST6, PORT)
    assert not plain.network.bob.can_connect(HOST4, PORT)


def test_a_complete_sync_finds_what_no_message_told(plain: Scene) -> None:
    """Case CL18: the state is read back."""
    plain.open(f"{ALICE4}/32")
    with plain.enforcer._lock:
        plain.network.host.nft(f"add element inet jitgate open4_32 {{ 10.71.2.2 . tcp . {PORT} timeout 9h }}")
        report = plain.ask(complete=True)
    assert report.repaired == (f"open tcp/{PORT} from 10.71.2.2/32 stood without an end",)
    assert not plain.network.bob.can_connect(HOST4, PORT)


def test_a_set_without_its_timeout_flag_is_found_at_start(plain: Scene) -> None:
    """Case CL13: nothing in such a set would ever end."""
    plain.ports = both(END)
    plain.open("10.71.0.0/16")
    plain.close()
    plain.network.host.nft(
        "flush chain inet jitgate guard_in\nflush chain inet jitgate guard_out\n"
        "delete set inet jitgate open4_16\n"
        "add set inet jitgate open4_16 { type ipv4_addr . inet_proto . inet_service; }\n"
        f"add element inet jitgate open4_16 {{ 10.71.0.0 . tcp . {PORT} }}\n"
        f"add rule inet jitgate guard_in ip saddr & 255.255.0.0 . meta l4proto . th dport @open4_16 accept"
    )
    report = plain.start()
    assert report.repaired == ("set open4_16 was not one of ours, or had lost its timeout flag",)
    assert report.standing == {}
    assert not plain.network.alice.can_connect(HOST4, PORT)


def test_what_was_changed_while_no_agent_lived_is_put_right_at_start(plain: Scene) -> None:
    end = plain.open(f"{ALICE4}/32")
    plain.close()
    plain.network.host.nft(
        f"add element inet jitgate open4_32 {{ 10.71.2.2 . tcp . {PORT} }}\ninsert rule inet jitgate guard_in accept"
    )
    report = plain.start()
    assert report.repaired == (f"open tcp/{PORT} from 10.71.2.2/32 stood without an end",)
    assert report.standing == {key(f"{ALICE4}/32"): end}
    assert plain.network.alice.can_connect(HOST4, PORT)
    assert not plain.network.bob.can_connect(HOST4, PORT)


def test_a_table_that_holds_what_cannot_be_named_is_replaced_all_the_same(plain: Scene) -> None:
    plain.open(f"{ALICE4}/32")
    plain.close()
    plain.network.host.nft(
        "add chain inet jitgate more\nadd map inet jitgate jumps { type inet_service : verdict; }\n"
        "add element inet jitgate jumps { 22 : jump more }\n"
        f"add element inet jitgate open4_32 {{ 10.71.2.2 . tcp . {PORT} }}"
    )
    plain.start()
    assert plain.network.alice.can_connect(HOST4, PORT)
    assert not plain.network.bob.can_connect(HOST4, PORT)
    assert "jumps" not in plain.ruleset()


def test_the_boot_table_goes_as_soon_as_ours_is_complete(scene: Scene, eventually: Eventually) -> None:
    """The drop-in of nftables.service loads it after every reload; grants must not wait for long."""
    scene.open(f"{ALICE4}/32")
    scene.network.host.run("nft", "-f", str(scene.state_dir / "boot.nft"))
    assert eventually(lambda: "jitgate_boot" not in scene.tables())
    assert scene.network.alice.can_connect(HOST4, PORT)


def test_the_boot_table_stays_until_the_whole_truth_is_known(scene: Scene) -> None:
    """Case HO2: after a reboot the agent knows nothing until it is told."""
    end = scene.open(f"{ALICE4}/32")
    scene.close()
    scene.network.host.nft("delete table inet jitgate")
    scene.network.host.run("nft", "-f", str(scene.state_dir / "boot.nft"))
    assert scene.start().standing == {}
    assert not scene.network.alice.can_connect(HOST4, PORT)
    assert "jitgate_boot" in scene.tables()
    scene.ask({key(f"{ALICE4}/32"): end}, complete=True)
    assert "jitgate_boot" not in scene.tables()
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert not scene.network.bob.can_connect(HOST4, PORT)


def test_a_flush_while_no_agent_lives_is_shut_again_by_the_next_one_without_a_server(scene: Scene) -> None:
    end = scene.open(f"{ALICE4}/32")
    scene.close()
    scene.network.host.nft("flush ruleset")
    assert scene.network.bob.can_connect(HOST4, PORT), "nothing else guards it here"
    report = scene.start()
    assert not scene.network.bob.can_connect(HOST4, PORT)
    assert not scene.network.bob.can_connect(HOST6, PORT)
    assert not scene.network.alice.can_connect(HOST4, PORT), "the time that its grant has left is not known any more"
    assert report.repaired == ("the table was gone; its ports are shut until the server tells what may be open",)
    scene.ask({key(f"{ALICE4}/32"): end}, complete=True)
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert not scene.network.bob.can_connect(HOST4, PORT)
    assert "jitgate_boot" not in scene.tables()


def test_what_protects_nothing_shuts_nothing_at_its_next_start(scene: Scene) -> None:
    scene.ports = {}
    scene.ask(complete=True)
    assert scene.restart().repaired == ()
    assert "jitgate" not in scene.tables()
    assert scene.network.bob.can_connect(HOST4, PORT)


@pytest.mark.parametrize("spoilt", [b"no ruleset", b"\xff\x00"])
def test_a_boot_ruleset_that_cannot_be_loaded_is_told_and_the_host_is_held_all_the_same(
    scene: Scene, spoilt: bytes
) -> None:
    """A host that cannot be held would count as unsupported, and every port of it would be opened."""
    scene.close()
    scene.network.host.nft("flush ruleset")
    (scene.state_dir / "boot.nft").write_bytes(spoilt)
    [told] = scene.start().repaired
    assert "could not be loaded" in told
    scene.ask(complete=True)
    assert not scene.network.bob.can_connect(HOST4, PORT)
    scene.close()
    scene.network.host.nft("flush ruleset")
    scene.start()
    assert not scene.network.bob.can_connect(HOST4, PORT), "the file was written anew"


def test_a_restarted_agent_that_finds_its_table_whole_needs_no_boot_table(scene: Scene, eventually: Eventually) -> None:
    scene.open(f"{ALICE4}/32")
    boot_file = scene.state_dir / "boot.nft"
    ruleset = boot_file.read_text()
    scene.close()
    scene.network.host.nft(ruleset)
    assert not scene.network.alice.can_connect(HOST4, PORT)
    boot_file.unlink()
    scene.start()
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert boot_file.read_text() == ruleset
    scene.network.host.nft(ruleset)
    assert eventually(lambda: "jitgate_boot" not in scene.tables())


def test_our_own_changes_are_not_taken_for_another_hand(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading everything back after each change would make its cost grow with the table."""
    looked: list[bool] = []

    def look(*_: object, elements: bool) -> list[str]:
        looked.append(elements)
        return []

    monkeypatch.setattr(scene.enforcer._kernel, "put_right", look)
    for prefix in ("10.0.0.0/8", "10.1.0.0/16", "10.2.3.0/24"):
        scene.open(prefix)
        scene.shut(prefix)
    time.sleep(0.1)
    assert looked == []


def test_a_dump_that_shows_an_element_twice_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the kernel resizes a hash table it shows some elements twice and leaves out as many others."""
    one, two, three = (Element(bytes([n]), 1000, "") for n in range(3))
    dumps = iter([[one, two, two], [one, two, three]])
    monkeypatch.setattr(Reader, "_read_elements", lambda self, table, name: iter(next(dumps)))
    with closing(Reader(None)) as reader:
        assert reader.elements("jitgate", "open4_32") == [one, two, three]


def test_two_agents_cannot_serve_one_host(scene: Scene) -> None:
    second = Scene(scene.network, scene.state_dir)
    with pytest.raises(ConnectorError, match="another process owns"):
        second.start()
    assert not scene.network.alice.can_connect(HOST4, PORT)
    assert (scene.enforcer.scope, scene.enforcer.machine) == (SCOPE, MACHINE)
