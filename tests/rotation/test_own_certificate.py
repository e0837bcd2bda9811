"""A certificate of the operator's own, replaced as others replace it, while everybody works."""

import os
import shutil
import signal
import ssl
import subprocess
from pathlib import Path

import httpx
from tests.elsewhere import Elsewhere
from tests.processes import COMMAND, Jitgate, until
from tests.rotation.authorities import Issuer
from tests.rotation.clients import Clients, by_name, is_heard, trusting
from tests.rotation.conftest import SETTINGS

from jitgate.agent import membership


def serial(jitgate: Jitgate, *issuers: Issuer) -> str:
    """Of the certificate that is shown to who asks for the name."""
    with httpx.Client(verify=trusting(*issuers)) as client, client.stream("GET", by_name(jitgate)) as answer:
        shown = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
    return str(shown["serialNumber"])


def replaced(jitgate: Jitgate, before: str, *issuers: Issuer) -> None:
    """Another one is shown than before."""
    until(lambda: serial(jitgate, *issuers) != before, "the new one is not taken")


def test_it_is_shown_for_its_name_and_our_own_to_everybody_else(jitgate: Jitgate, issuer: Issuer) -> None:
    with httpx.Client(verify=trusting(issuer)) as client:
        assert client.get(by_name(jitgate)).status_code == 303
    assert httpx.get(f"{jitgate.url}/healthz", verify=ssl.create_default_context(cafile=str(ca(jitgate)))).is_success


def ca(jitgate: Jitgate) -> Path:
    return jitgate.directory / "ca.pem"


def test_a_renewed_one_is_taken_while_everybody_works(
    jitgate: Jitgate, edge: Elsewhere, clients: Clients, live: Path, issuer: Issuer, tmp_path: Path
) -> None:
    before, running = serial(jitgate, issuer), jitgate.pid("server")
    with clients.at_work(), clients.as_owner() as held:
        held.get("/api/v1/whoami").raise_for_status()
        for name in issuer.issue(tmp_path):
            os.replace(name, live / name.name)
        replaced(jitgate, before, issuer)
        assert held.get("/api/v1/whoami").is_success, "a connection that stood goes on"
    assert jitgate.pid("server") == running
    assert "not reached" not in edge.log.read_text()


def test_a_pair_that_does_not_fit_is_told_and_the_former_stays(
    jitgate: Jitgate, clients: Clients, live: Path, issuer: Issuer, tmp_path: Path
) -> None:
    before = serial(jitgate, issuer)
    certificate, key = issuer.issue(tmp_path)
    with clients.at_work():
        shutil.copy(certificate, live)
        os.kill(jitgate.supervisor.pid, signal.SIGHUP)
        until(lambda: "is not the key of" in jitgate.log.read_text(), "nobody says so")
        assert serial(jitgate, issuer) == before
        assert jitgate.supervisor.poll() is None
        shutil.copy(key, live)
        os.kill(jitgate.supervisor.pid, signal.SIGHUP)
        replaced(jitgate, before, issuer)


def test_another_issuer_is_told_to_agents_by_the_root_key(
    jitgate: Jitgate, edge: Elsewhere, live: Path, issuer: Issuer, tmp_path: Path
) -> None:
    other = Issuer("Another Authority")
    before, epoch = serial(jitgate, issuer), membership.read(edge.directory).keyset.epoch
    for name in other.issue(tmp_path):
        os.replace(name, live / name.name)
    os.kill(jitgate.supervisor.pid, signal.SIGHUP)
    replaced(jitgate, before, issuer, other)
    edge.kill()
    edge.start()
    until(lambda: membership.read(edge.directory).keyset.epoch > epoch, "the agent does not learn it")
    until(lambda: is_heard(jitgate), "the agent is not heard")


def test_it_does_not_start_with_one_that_would_not_be_believed(tmp_path: Path, issuer: Issuer) -> None:
    (tmp_path / "data").mkdir()
    issuer.issue(tmp_path, ("other.example",))
    (tmp_path / "data" / "jitgate.toml").write_text(SETTINGS.format(tmp_path))
    command = [*COMMAND, "serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 3
    assert "is for other.example" in refused.stderr
