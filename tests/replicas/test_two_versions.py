"""An older and a newer jitgate as real processes on one database: the newer one is this one, and two revisions more."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import ALICE4, HOST4, Network
from tests.postgresql import cluster, execute
from tests.processes import Jitgate, share_keys, until
from tests.replicas.conftest import NOTICE

import jitgate
from jitgate.store.migrations import newest

pytestmark = pytest.mark.needs_root
_OLD = newest()
ADDED, TAKEN_AWAY = f"{int(_OLD) + 1:04}", f"{int(_OLD) + 2:04}"
_BODY = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{former}"
{phase}

def upgrade() -> None:
    op.{what}
"""
_ADDS = "add_column('machine', sa.Column('colour', sa.Text(), server_default='red'))"
_TAKES = "drop_column('machine', 'colour')"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Python finds a newer jitgate."""
    place = tmp_path_factory.mktemp("newer")
    shutil.copytree(Path(jitgate.__file__).parent, place / "jitgate")
    versions = place / "jitgate" / "store" / "migrations" / "versions"
    for revision, former, phase, what in (
        (ADDED, _OLD, "", _ADDS),
        (TAKEN_AWAY, ADDED, 'phase = "post"', _TAKES),
    ):
        text = _BODY.format(revision=revision, former=former, phase=phase, what=what)
        (versions / f"{revision}_more.py").write_text(text)
    return place


@pytest.fixture
def url() -> Iterator[str]:
    name = cluster().create(cluster().migrated())
    yield cluster().url(name)
    cluster().drop(name)


def test_an_older_replica_works_on_beside_a_newer_one_that_goes_on_when_it_has_ended(
    tmp_path: Path, newer: Path, network: Network, url: str
) -> None:
    environment = {"JITGATE_DATABASE": url}
    old = Jitgate(tmp_path / "old", {"web-1": network.host.name}, environment, settings=NOTICE)
    with old, network.host.listen(22):
        new = Jitgate(tmp_path / "new", {"x": "jg-none"}, {**environment, "PYTHONPATH": str(newer)}, settings=NOTICE)
        share_keys(old, new)
        with new:
            assert revision(url) == ADDED, "what only adds is there; what takes away waits"
            old.enable("web-1")
            grant = new.open("web-1", ALICE4, seconds=300)
            assert network.alice.can_connect(HOST4, 22), "what the newer one is asked the older one opens"
            old.kill("server")
            old.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")
            assert not network.alice.can_connect(HOST4, 22), "an older one that starts again works on"
            waits = new.run("db", "migrate", "--post")
            assert (waits.returncode, (old.directory / "replica").read_text().strip() in waits.stdout) == (3, True)
            old.supervisor.terminate()
            assert old.supervisor.wait(90) == 0
            until(lambda: revision(url) == TAKEN_AWAY, "the newer one does not go on by itself")
            assert new.machine("web-1")


def revision(url: str) -> object:
    return execute(url, "SELECT version_num FROM alembic_version")[0][0]
