"""The wheels, installed where nothing else is, do what they are for."""

import os
import re
import shutil
import ssl
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest
from tests.netns import ALICE4, BOB4, HOST4, Network
from tests.packages.environment import EXTRAS, SERVER, Environment, asked_for
from tests.processes import Jitgate

from jitgate.web.portal import assets

MOST_AGENT_KB = 300
"""Of the agent's wheel, in kilobytes (1,000 bytes). It is fetched by every host."""

SURFACES = {
    "aws": "from jitgate.connectors.aws.connector import AwsConnector",
    "azure": "from jitgate.connectors.azure.connector import AzureConnector",
    "notify": "import apprise; import jitgate.notify.receivers",
    "otel": "import opentelemetry.sdk, opentelemetry.exporter.otlp.proto.http",
    "postgres": "import psycopg, psycopg_pool, jitgate.store.postgresql",
}
ASKED = {
    "aws": """
from datetime import UTC, datetime
from jitgate.clock import SystemClock
from jitgate.main.cloud_kinds import kinds
from jitgate.store.connectors import Connector
kinds(SystemClock())["aws"].make(Connector("a", "aws", "s", "g", {"regions": "eu-west-1"}, 1, datetime.now(UTC)))
""",
    "azure": """
from datetime import UTC, datetime
from jitgate.clock import SystemClock
from jitgate.main.cloud_kinds import kinds
from jitgate.store.connectors import Connector
kinds(SystemClock())["azure"].make(Connector("a", "azure", "s", "g", {}, 1, datetime.now(UTC)))
""",
    "notify": """
import sys
from pathlib import Path
from jitgate.notify.receivers import apprise_channel
file = Path(sys.argv[1], "team.apprise")
file.write_text("json://localhost")
file.chmod(0o600)
apprise_channel(file, "notify[0].apprise_file")
""",
    "otel": """
from jitgate import tracing
tracing.begin("http://localhost/v1/traces", {})
""",
    "postgres": """
from jitgate.clock import SystemClock
from jitgate.store.database import Store
Store.open("postgresql+psycopg://nobody@127.0.0.1:1/none", SystemClock())
""",
}


@pytest.mark.needs_root
def test_the_installed_server_shuts_a_port_opens_it_for_one_source_and_shows_its_pages(
    bare: Environment, tmp_path: Path
) -> None:
    command = (str(bare.bin / "jitgate"),)
    with (
        Network() as network,
        network.host.listen(22),
        Jitgate(tmp_path / "data", {"web-1": network.host.name}, command=command) as jitgate,
    ):
        jitgate.enable("web-1")
        assert not network.alice.can_connect(HOST4, 22)
        jitgate.open("web-1", ALICE4, seconds=30)
        assert network.alice.can_connect(HOST4, 22)
        assert not network.bob.can_connect(HOST4, 22, source=BOB4)
        trusted = ssl.create_default_context(cafile=str(tmp_path / "data" / "ca.pem"))
        for name in assets.FETCHED:
            found = httpx.get(jitgate.url + assets.address(name), verify=trusted)
            assert found.status_code == 200, name
            assert len(found.content) > 1000, name


def test_the_installed_commands_say_their_version(bare: Environment, slim: Environment) -> None:
    for environment, name in ((bare, "jitgate"), (bare, "jitgate-agent"), (slim, "jitgate-agent")):
        ran = environment.run(name, "--help")
        assert ran.returncode == 0, ran.stderr
        assert name in ran.stdout


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_its_code_imports(full: Environment, extra: str) -> None:
    ran = full.run("python", "-c", SURFACES[extra])
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("extra", ASKED)
def test_without_an_extra_the_message_says_which_to_install(bare: Environment, tmp_path: Path, extra: str) -> None:
    assert bare.run("python", "-c", SURFACES[extra]).returncode != 0, "it is there without being asked for"
    ran = bare.run("python", "-c", ASKED[extra], str(tmp_path))
    assert f"pip install 'jitgate[{extra}]'" in ran.stderr


def test_all_is_every_extra(wheels: dict[str, list[Path]]) -> None:
    both = wheels["server"] + wheels["agent"]
    assert asked_for(both, ("all",)) == set().union(*(asked_for(both, (extra,)) for extra in EXTRAS))


def test_the_agent_stays_small(wheels: dict[str, list[Path]], slim: Environment) -> None:
    [wheel] = wheels["agent"]
    assert wheel.stat().st_size < MOST_AGENT_KB * 1000
    assert slim.packages == {"cryptography", "cffi", "pycparser"}
    assert not (slim.site / "jitgate" / "web").exists()


def test_the_image_is_made_of_both_wheels_at_once(wheels: dict[str, list[Path]], tmp_path: Path) -> None:
    """Of the server's alone, pip would look for the agent's on an index, where whoever takes its name first puts it."""
    text = (SERVER / "deploy" / "compose" / "Dockerfile").read_text("utf-8")
    (copied,) = re.findall(r"^COPY dist/(\S+) /tmp/$", text, re.M)
    (command,) = re.findall(r"^RUN (pip install .+)$", text, re.M)
    [server], [agent] = wheels["server"], wheels["agent"]
    for wheel in (server, agent):
        assert fnmatch(wheel.name, copied)
        shutil.copy2(wheel, tmp_path)
    (tmp_path / "pip").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/said\n')
    (tmp_path / "pip").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", command.replace("/tmp/", f"{tmp_path}/")], env={"PATH": path}, check=True)
    said = (tmp_path / "said").read_text().splitlines()
    assert [each for each in said if not each.startswith("-")] == [
        "install",
        f"{tmp_path / agent.name}",
        f"{tmp_path / server.name}[postgres]",
    ]
    assert not list(tmp_path.glob("*.whl"))
