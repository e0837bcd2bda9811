"""Keys of the data directory, each followed by another while everybody works."""

import json
import ssl
from pathlib import Path
from typing import Any

from tests.connectors.gateway.scene import Echo
from tests.elsewhere import Elsewhere
from tests.processes import Jitgate, until
from tests.rotation.clients import Clients, have_come, is_heard, kid, learns, sealed_by, shown_serial, verify, whoami
from typer.testing import CliRunner, Result

from jitgate.agent import membership
from jitgate.ops.keys import keys as commands


def published(clients: Clients) -> list[str]:
    with clients.client() as client:
        return [key["kid"] for key in client.get("/organizations/discovery/v2.0/keys").json()["keys"]]


def run(jitgate: Jitgate, *words: str) -> Result:
    """`jitgate keys` on its data directory; in this process, which a command of its own would only make slower."""
    return CliRunner().invoke(commands, [*words, "--data-dir", str(jitgate.directory)])


def keys(jitgate: Jitgate, *words: str) -> str:
    done = run(jitgate, *words)
    assert done.exit_code == 0, done.output
    return done.output


def shown(jitgate: Jitgate, name: str) -> dict[str, Any]:
    return next(each for each in json.loads(keys(jitgate, "ls", "--json")) if each["name"] == name)


def test_nobody_is_signed_out_when_another_key_signs_tokens(
    jitgate: Jitgate, edge: Elsewhere, clients: Clients
) -> None:
    before = clients.lend()
    with clients.at_work():
        assert "used from" in keys(jitgate, "rotate", "signing", "--in", "1h")
        assert shown(jitgate, "signing")["nextFrom"]
        assert len(published(clients)) == 2, "who checks tokens by our keys has the next one before it signs"
        have_come(jitgate.directory / "signing.key")
        until(lambda: kid(clients.lend()) != kid(before), "the next key is not used")
        assert whoami(clients, before).status_code == 200
        assert len(published(clients)) == 2
    after = clients.lend()
    assert "1 former keys" in keys(jitgate, "retire", "signing")
    assert published(clients) == [kid(after)]
    assert whoami(clients, before).status_code == 401, "when a key was stolen, what it signed is worth nothing at once"
    assert whoami(clients, after).status_code == 200


def test_who_has_the_first_key_of_the_record_checks_what_the_next_one_seals(
    jitgate: Jitgate, clients: Clients, tmp_path: Path
) -> None:
    first, *_ = (jitgate.directory / "record.pub").read_text().split()
    with clients.at_work():
        until(lambda: sealed_by(verify(clients, tmp_path, first)) == first, "nothing is sealed")
        keys(jitgate, "rotate", "record")
        next_one = (jitgate.directory / "record.pub").read_text().split()[1]
        jitgate.call("POST", "/api/v1/sign-in-links")  # Something to seal.
        until(lambda: sealed_by(verify(clients, tmp_path, first)) == next_one, "the next key seals nothing")
        found = verify(clients, tmp_path, first)
        assert found.is_sound, found.faults
    assert run(jitgate, "retire", "record").exit_code == 2, "it goes by itself, once it has handed over"


def test_another_authority_follows_and_who_knows_the_former_goes_on(
    jitgate: Jitgate, edge: Elsewhere, target: Echo, tmp_path: Path
) -> None:
    former = (jitgate.directory / "ca.pem").read_text()
    invitation = jitgate.call("POST", "/api/v1/hosts/tokens", {})
    epoch = membership.read(edge.directory).keyset.epoch
    with Clients(jitgate, jitgate.url, lambda: ssl.create_default_context(cadata=former)) as clients:
        before = shown_serial(clients, former)
        with clients.at_work():
            assert "ca.pem" in keys(jitgate, "rotate", "ca")
            until(lambda: shown_serial(clients, former) != before, "the next authority signs nothing")
        newest = (jitgate.directory / "ca.pem").read_text().removesuffix(former)
        assert shown_serial(clients, newest) == shown_serial(clients, former)
    known = learns(jitgate, edge, epoch)
    assert newest in known.keyset.authorities
    with Elsewhere(tmp_path / "late", target, "late") as late:
        options = ["--token", invitation["token"], "--ca-pin", invitation["caPin"], "--name", "late"]
        options += ["--address", "127.0.0.1", "--listen", "127.0.0.1", "--ports", "39000-39100"]
        joined = late.run("join", jitgate.url, *options, "--machine", "win-9=10.0.0.9,windows")
        assert joined.returncode == 0, joined.stderr


def test_another_root_key_follows_and_hosts_go_on(jitgate: Jitgate, edge: Elsewhere, clients: Clients) -> None:
    pinned = membership.read(edge.directory)
    with clients.at_work():
        keys(jitgate, "rotate", "link-root")
        known = learns(jitgate, edge, pinned.keyset.epoch)
        assert known.root == pinned.root
        assert "1 former keys" in keys(jitgate, "retire", "link-root")
        known = learns(jitgate, edge, known.keyset.epoch)
        assert known.root != pinned.root
        keys(jitgate, "rotate", "link-controller")
        learns(jitgate, edge, known.keyset.epoch)
    assert is_heard(jitgate)
    assert "not signed" not in edge.log.read_text()


def test_a_second_rotation_waits_for_the_first(jitgate: Jitgate) -> None:
    keys(jitgate, "rotate", "links", "--in", "1h")
    refused = run(jitgate, "rotate", "links")
    assert refused.exit_code == 2
    assert "there already, and used from" in refused.output
