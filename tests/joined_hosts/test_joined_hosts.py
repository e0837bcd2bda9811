"""Hosts elsewhere, as they are: a server in one namespace, agents as processes in others, TLS between them."""

import base64
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.joined import Joined
from tests.netns import ALICE4, ALICE6, BOB4, CAROL4, CAROL6, DAVE4, HOST4, Namespace, Network, echoes
from tests.processes import Jitgate, assert_shuts_on_time, sleep_past_end, until

from jitgate.agent import membership
from jitgate.trust import signatures

pytestmark = pytest.mark.needs_root


@pytest.fixture(scope="module")
def web(network: Network, jitgate: Jitgate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    """A host that has joined, with its port 22 protected."""
    listening = network.alice.listen(22), network.alice.listen(22, udp=True)
    with Joined(network.alice, tmp_path_factory.mktemp("web") / "state", "web-1") as made:
        made.join(jitgate)
        made.start()
        made.protect(jitgate)
        yield made
    for each in listening:
        each.close()


@pytest.fixture(autouse=True)
def in_order(web: Joined, jitgate: Jitgate) -> None:
    """Whatever the test before has done: server and agent run, and talk to each other."""
    if jitgate.supervisor.poll() is not None:
        jitgate.start()
    if not web.runs:
        web.start()
    until(lambda: host(jitgate, "web-1")["verified"], "the agent is not heard of")


def host(jitgate: Jitgate, name: str) -> dict[str, Any]:
    listed: list[dict[str, Any]] = jitgate.call("GET", "/api/v1/hosts")
    return next(each for each in listed if each["name"] == name and each["state"] == "joined")


def assert_closed(jitgate: Jitgate, grant: dict[str, Any], reason: str = "expired") -> None:
    now = until(lambda: closed(jitgate, grant), "the grant is not closed")
    assert now["reason"] == reason


def closed(jitgate: Jitgate, grant: dict[str, Any]) -> dict[str, Any] | None:
    now = jitgate.grant(grant["id"])
    return now if now["state"] == "closed" else None


# --- asking and ending --------------------------------------------------------------------------------


def test_a_port_opens_for_the_source_that_was_asked_for_and_shuts_on_time(
    jitgate: Jitgate, web: Joined, carol: Namespace, dave: Namespace
) -> None:
    assert not carol.can_connect(ALICE4, 22)
    grant = jitgate.open("web-1", CAROL4, seconds=7)
    assert not dave.can_connect(ALICE4, 22)
    assert carol.can_exchange(ALICE4, 22), "UDP is a part of every protocol"
    assert_shuts_on_time(grant, lambda: carol.can_connect(ALICE4, 22))
    assert_closed(jitgate, grant)


def test_what_the_host_has_shut_it_has_signed(jitgate: Jitgate, web: Joined) -> None:
    grant = jitgate.open("web-1", CAROL4, seconds=60)
    jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")
    assert_closed(jitgate, grant, "userRequested")
    applied = jitgate.activity("Firewall/scopes/apply")
    proof = next(each["properties"]["proof"] for each in applied if each["outcome"] == "Succeeded")
    signed = base64.b64decode(proof["signed"])
    signatures.verify(host(jitgate, "web-1")["publicKey"], "host report", signed, proof["signature"])
    said = json.loads(signed)
    assert said["scope"] == "fleet/jitgate/web-1"
    assert any(CAROL4 in key for key in said["shut"])


def test_an_early_close_cuts_the_session(jitgate: Jitgate, web: Joined, carol: Namespace) -> None:
    grant = jitgate.open("web-1", CAROL4, seconds=60)
    with carol.connect(ALICE4, 22) as session:
        assert echoes(session)
        jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")
        assert not echoes(session)
    assert not carol.can_connect(ALICE4, 22)


def test_ipv6_is_opened_and_shut_alike(jitgate: Jitgate, web: Joined, carol: Namespace) -> None:
    assert not carol.can_connect(ALICE6, 22)
    grant = jitgate.open("web-1", CAROL6, seconds=60)
    assert carol.can_connect(ALICE6, 22)
    assert not carol.can_connect(ALICE4, 22)
    jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")
    assert not carol.can_connect(ALICE6, 22)


def test_who_is_turned_away_is_told_to_who_waits(
    jitgate: Jitgate, web: Joined, carol: Namespace, dave: Namespace
) -> None:
    """Case: it says open, but I cannot connect - because I come from another address than I thought."""
    grant = jitgate.open("web-1", CAROL4, seconds=60)
    assert not dave.can_connect(ALICE4, 22)
    found = until(lambda: jitgate.grant(grant["id"])["attempts"], "nobody was told")
    assert DAVE4 in [each["source"] for each in found]
    shown = jitgate.run("ls").stderr
    assert f"{DAVE4} was turned away" in " ".join(shown.split())
    moved = jitgate.run("move", grant["id"], "--from", DAVE4)
    assert moved.returncode == 0, moved.stderr
    assert dave.can_connect(ALICE4, 22)
    assert not carol.can_connect(ALICE4, 22)
    jitgate.run("done", "--all")


# --- what dies, and what is cut -----------------------------------------------------------------------


def test_a_killed_server_leaves_the_port_open_until_its_end_and_no_longer(
    jitgate: Jitgate, web: Joined, carol: Namespace
) -> None:
    grant = jitgate.open("web-1", CAROL4, seconds=7)
    jitgate.kill_all()
    assert_shuts_on_time(grant, lambda: carol.can_connect(ALICE4, 22))
    jitgate.start()
    assert_closed(jitgate, grant)
    again = jitgate.open("web-1", CAROL4, seconds=60)
    assert carol.can_connect(ALICE4, 22)
    jitgate.call("POST", f"/api/v1/grants/{again['id']}/close?wait=60")


def test_a_killed_agent_leaves_the_port_open_until_its_end_and_no_longer(
    jitgate: Jitgate, web: Joined, carol: Namespace
) -> None:
    grant = jitgate.open("web-1", CAROL4, seconds=7)
    web.kill()
    assert_shuts_on_time(grant, lambda: carol.can_connect(ALICE4, 22))
    assert jitgate.grant(grant["id"])["state"] == "closing", "nobody has seen it shut yet"
    web.start()
    assert_closed(jitgate, grant)


def test_a_cut_link_neither_lengthens_a_grant_nor_loses_its_end(
    jitgate: Jitgate, web: Joined, carol: Namespace
) -> None:
    grant = jitgate.open("web-1", CAROL4, seconds=7)
    with web.cut_from(HOST4):
        assert_shuts_on_time(grant, lambda: carol.can_connect(ALICE4, 22))
        extended = jitgate.run("open", "web-1", "22", "--for", "10m", "--from", CAROL4, "--no-wait", "-m", "cut")
        assert extended.returncode == 0, extended.stderr
        assert not carol.can_connect(ALICE4, 22), "what the host was not told is not open"
    until(lambda: carol.can_connect(ALICE4, 22), "it does not open once the link is healed", 90)
    assert_closed(jitgate, grant)
    jitgate.run("done", "--all")


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_wrong_clock_on_the_host_lengthens_nothing(
    jitgate: Jitgate, web: Joined, carol: Namespace, minutes: int
) -> None:
    web.kill()
    web.start(clock_is_off=minutes * 60)
    until(lambda: jitgate.call("POST", "/api/v1/machines/enable?wait=5", {"machines": ["web-1"]}), "it does not come")
    grant = jitgate.open("web-1", CAROL4, seconds=7)
    assert_shuts_on_time(grant, lambda: carol.can_connect(ALICE4, 22))
    grant = jitgate.open("web-1", CAROL4, seconds=7)
    web.kill()
    web.start(clock_is_off=-minutes * 60)
    sleep_past_end(grant)
    assert not carol.can_connect(ALICE4, 22), "a new agent, whose clock is off the other way, gave it more time"
    web.kill()


def test_a_reboot_leaves_everything_shut_until_the_server_is_heard(
    jitgate: Jitgate, web: Joined, carol: Namespace
) -> None:
    grant = jitgate.open("web-1", CAROL4, seconds=600)
    web.kill()
    web.namespace.nft("delete table inet jitgate")
    web.namespace.run("nft", "-f", str(web.directory / "machine" / "boot.nft"))
    assert not carol.can_connect(ALICE4, 22), "the boot unit's table has not shut it"
    with web.cut_from(HOST4):
        web.start()
        time.sleep(1.5)
        assert not carol.can_connect(ALICE4, 22), "an agent that knows nothing has opened it"
    until(lambda: carol.can_connect(ALICE4, 22), "the grant that lives is not opened again", 90)
    assert "jitgate_boot" not in web.namespace.run("nft", "list", "tables")
    jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")


def test_a_flushed_ruleset_is_back_at_once(jitgate: Jitgate, web: Joined, carol: Namespace) -> None:
    web.namespace.nft("flush ruleset")
    until(lambda: not carol.can_connect(ALICE4, 22), "a flush has left the port open")


def test_a_restored_database_does_not_strand_the_host(
    jitgate: Jitgate, web: Joined, carol: Namespace, tmp_path: Path
) -> None:
    jitgate.kill_all()
    shutil.copy(jitgate.directory / "jitgate.db", tmp_path / "backup.db")
    jitgate.start()
    for _ in range(3):
        jitgate.open("web-1", CAROL4, seconds=600)
    jitgate.run("done", "--all")
    jitgate.kill_all()
    for name in ("jitgate.db", "jitgate.db-wal", "jitgate.db-shm"):
        (jitgate.directory / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", jitgate.directory / "jitgate.db")
    jitgate.start()
    grant = jitgate.open("web-1", CAROL4, seconds=60)
    assert carol.can_connect(ALICE4, 22)
    assert jitgate.activity("scopes/goOnFromGeneration"), "it went on from the host's generation, but not on record"
    jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")


# --- keys and names -----------------------------------------------------------------------------------


def test_rotated_keys_reach_the_host_and_an_earlier_set_is_refused(jitgate: Jitgate, web: Joined) -> None:
    before = membership.read(web.directory)
    rotated = jitgate.run("keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    until(lambda: membership.read(web.directory).keyset.epoch > before.keyset.epoch, "the new keys do not come", 90)
    assert membership.read(web.directory).keyset.controllers != before.keyset.controllers
    grant = jitgate.open("web-1", CAROL4, seconds=60)
    jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")


def test_a_new_certificate_authority_is_believed_because_the_root_key_vouches_for_it(
    jitgate: Jitgate, web: Joined, carol: Namespace
) -> None:
    jitgate.kill_all()
    for name in ("ca.pem", "ca.key", "server.pem"):
        (jitgate.directory / name).unlink()
    jitgate.start()
    grant = jitgate.open("web-1", CAROL4, seconds=60)
    assert carol.can_connect(ALICE4, 22)
    jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")


def test_a_wrong_pin_stops_a_join_before_the_token_is_sent(
    jitgate: Jitgate, web: Joined, network: Network, tmp_path: Path
) -> None:
    with Joined(network.bob, tmp_path / "bob", "db-1") as bob:
        token, _ = bob.token(jitgate)
        refused = bob.run("join", jitgate.url, "--token", token, "--ca-pin", "sha256:" + "0" * 64, "--name", "db-1")
        assert refused.returncode == 2
        assert "another authority" in refused.stderr
        assert not (bob.directory / membership.FILE).exists()


def test_a_token_serves_once_and_a_known_name_waits_for_an_administrator(
    jitgate: Jitgate, web: Joined, network: Network, tmp_path: Path
) -> None:
    former = host(jitgate, "web-1")["uuid"]
    with Joined(network.bob, tmp_path / "one", "web-1") as bob, Joined(network.bob, tmp_path / "two", "other") as thief:
        token, pin = bob.token(jitgate)
        joining = bob.begin("join", jitgate.url, "--token", token, "--ca-pin", pin, "--name", "WEB-1")
        try:
            until(lambda: [h for h in jitgate.call("GET", "/api/v1/hosts") if h["state"] == "waiting"], "nobody waits")
            stolen = thief.run("join", jitgate.url, "--token", token, "--ca-pin", pin, "--name", "other")
            assert stolen.returncode == 2
            assert "no join token that is in force" in stolen.stderr
            assert host(jitgate, "web-1")["uuid"] == former
            waiting = next(h for h in jitgate.call("GET", "/api/v1/hosts") if h["state"] == "waiting")
            removed = jitgate.run("host", "remove", waiting["uuid"])
            assert removed.returncode == 0, removed.stderr
        finally:
            joining.kill()
            joining.communicate()


def test_an_approved_newcomer_takes_the_name_and_inherits_no_grant(
    jitgate: Jitgate, web: Joined, network: Network, tmp_path: Path, carol: Namespace
) -> None:
    with network.bob.listen(22), Joined(network.bob, tmp_path / "one", "db-1") as old:
        old.join(jitgate)
        old.start()
        old.protect(jitgate)
        grant = jitgate.open("db-1", CAROL4, seconds=600)
        old.kill()
        with Joined(network.bob, tmp_path / "two", "db-1") as new:
            token, pin = new.token(jitgate)
            joining = new.begin("join", jitgate.url, "--token", token, "--ca-pin", pin, "--name", "db-1")
            until(lambda: [h for h in jitgate.call("GET", "/api/v1/hosts") if h["state"] == "waiting"], "nobody waits")
            approved = jitgate.run("host", "approve", "db-1")
            assert approved.returncode == 0, approved.stderr
            _, errors = joining.communicate(timeout=60)
            assert joining.returncode == 0, errors
            new.start()
            until(lambda: not carol.can_connect(BOB4, 22), "the former machine's grant is open on the new one")
            assert jitgate.grant(grant["id"])["reason"] == "machineRemoved"


def test_no_agent_listens_and_its_state_is_for_root_alone(web: Joined) -> None:
    assert f"pid={web.pid}," not in web.namespace.run("ss", "-ltnpu")
    for name in ("agent.key", membership.FILE, "hosts.json"):
        assert (web.directory / name).stat().st_mode & 0o777 == 0o600, name


def test_an_idle_agent_is_small_and_quiet(web: Joined) -> None:
    status = Path(f"/proc/{web.pid}/status").read_text()
    resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    assert resident < 40 * 1024, f"{resident} kB resident"
    # What a test before has begun may still be under way.
    until(lambda: _spent(web.pid, seconds=2) <= 2, "it spends more than hundredths of a second in two idle seconds")


def _spent(pid: int, seconds: float) -> int:
    """How much it works within seconds, in clock ticks."""
    before = _cpu(pid)
    time.sleep(seconds)
    return _cpu(pid) - before


def _cpu(pid: int) -> int:
    """User and system time so far, in clock ticks (hundredths of a second)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_removed_host_is_heard_no_more_and_keeps_shut_what_it_protects(
    jitgate: Jitgate, web: Joined, carol: Namespace
) -> None:
    """The last of these tests: it takes the host away."""
    grant = jitgate.open("web-1", CAROL4, seconds=600)
    removed = jitgate.run("host", "remove", "web-1")
    assert removed.returncode == 0, removed.stderr
    assert jitgate.grant(grant["id"])["reason"] == "machineRemoved"
    until(lambda: "not signed by a host that has joined" in web.log.read_text(), "the agent is still answered", 90)
