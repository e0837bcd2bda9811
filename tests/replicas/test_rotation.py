"""Keys follow one another in replicas that have copies of them, while everybody works with both."""

import shutil
import ssl
from collections.abc import Mapping
from pathlib import Path

from tests.postgresql import cluster
from tests.processes import Jitgate, share_keys, until
from tests.rotation.clients import Clients, have_come, kid, sealed_by, shown_serial, verify, whoami
from typer.testing import CliRunner

from jitgate.ops.keys import keys


def test_replicas_go_over_to_the_next_keys_without_a_gap(tmp_path: Path) -> None:
    name = cluster().create()
    environment = {"JITGATE_DATABASE": cluster().url(name)}
    one, two = (Jitgate(tmp_path / each, {each: "jg-none"}, environment) for each in ("one", "two"))
    with one:
        share_keys(one, two)
        with two:
            former, first = (one.directory / "ca.pem").read_text(), (one.directory / "record.pub").read_text().strip()

            def trust() -> ssl.SSLContext:
                return ssl.create_default_context(cadata=former)

            with Clients(one, trust=trust) as here, Clients(two, trust=trust) as there:
                token, serial = here.lend(), shown_serial(here, former)
                with here.at_work(), there.at_work():
                    for key in ("signing", "links", "record", "ca", "link-controller"):
                        follow(key, one, two, environment)
                        here.rounds(1)
                    for replica in (one, two):
                        for key in ("signing", "record", "ca", "link-controller"):
                            have_come(replica.directory / f"{key}.key")
                        until(lambda: kid(here.lend()) != kid(token), "the next key does not sign")
                    assert whoami(there, token).status_code == 200
                    assert whoami(here, there.lend()).status_code == 200
                    for clients in (here, there):
                        until(lambda: shown_serial(clients, former) != serial, "the next authority signs nothing")  # noqa: B023
                    one.call("POST", "/api/v1/sign-in-links")
                    until(lambda: sealed_by(verify(there, tmp_path, first)) != first, "the next key seals nothing")
                found = verify(there, tmp_path, first)
                assert found.is_sound, found.faults
    cluster().drop(name)


def follow(key: str, one: Jitgate, two: Jitgate, environment: Mapping[str, str]) -> None:
    """As an operator does: rotate at one replica, and copy what it says to the other, which has an hour."""
    done = CliRunner().invoke(keys, ["rotate", key, "--data-dir", str(one.directory)], env=environment)
    assert done.exit_code == 0, done.output
    named = " ".join(done.output.split()).partition("Copy ")[2].partition(" from ")[0]
    for name in named.split(", "):
        shutil.copy(one.directory / name, two.directory / name)
