"""One installation for all rotations: a server, an agent that has joined it, and everybody else who uses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.gateway.scene import Echo
from tests.elsewhere import Elsewhere
from tests.processes import Jitgate, until
from tests.rotation.authorities import Issuer
from tests.rotation.clients import Clients, by_name, trusting

SETTINGS = """
[server]
certificate_file = "{0}/fullchain.pem"
certificate_key_file = "{0}/privkey.pem"
"""


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer("An Authority")


@pytest.fixture(scope="session")
def target() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture(scope="session")
def jitgate(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Jitgate]:
    live = tmp_path_factory.mktemp("live")
    issuer.issue(live)
    data = tmp_path_factory.mktemp("server") / "data"
    data.mkdir()
    (data / "jitgate.toml").write_text(SETTINGS.format(live))
    with Jitgate(data, {}) as made:
        yield made


@pytest.fixture(scope="session")
def live(jitgate: Jitgate) -> Path:
    """Where certbot would put what it gets."""
    return Path((jitgate.directory / "jitgate.toml").read_text().split('"')[1]).parent


@pytest.fixture(scope="session")
def edge(jitgate: Jitgate, tmp_path_factory: pytest.TempPathFactory, target: Echo) -> Iterator[Elsewhere]:
    """An agent that has joined by the name that the certificate is for."""
    with Elsewhere(tmp_path_factory.mktemp("elsewhere") / "edge", target) as made:
        joined = made.join(jitgate, url=by_name(jitgate))
        assert joined.returncode == 0, joined.stderr
        made.start()
        until(lambda: jitgate.machine("win-1"), "the machine behind it is not listed")
        port = {"number": target.port, "protocol": "*", "sources": ["*"], "maxDuration": "PT3H"}
        jitgate.call("PUT", "/api/v1/policies/win-1", {"machines": [{"id": "win-1", "ports": [port]}]})
        until(lambda: (jitgate.machine("win-1") or {})["ports"], "it is not protected")
        yield made


@pytest.fixture
def clients(jitgate: Jitgate, issuer: Issuer) -> Iterator[Clients]:
    """Everybody who believes the issuer, and nobody else."""
    with Clients(jitgate, by_name(jitgate), lambda: trusting(issuer)) as made:
        yield made
