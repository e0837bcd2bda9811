"""`jitgate doctor` where the records are in PostgreSQL."""

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.postgresql import cluster
from tests.processes import Jitgate

from jitgate.ops.backup import LAST


def test_an_installation_on_postgresql_is_looked_at_and_what_is_wrong_with_it_is_told(tmp_path: Path) -> None:
    name = cluster().create()
    with Jitgate(tmp_path / "data", {}, {"JITGATE_DATABASE": cluster().url(name)}) as jitgate:
        well = doctor(jitgate)
        assert {check: each["state"] for check, each in well.items() if each["state"] == "mend"}.keys() <= {
            *("synchronisation", "agents", "backup"),
        }
        assert well["database"]["what"] == "reached, and its tables are right"
        assert well["clock"]["state"] == well["server"]["state"] == well["ca.pem"]["state"] == "fine"
        assert (well["backup"]["state"], "PostgreSQL" in well["backup"]["do"]) == ("mend", True)
        (jitgate.directory / LAST).write_text(datetime.now(UTC).isoformat())
        assert doctor(jitgate)["backup"]["state"] == "fine", "whoever backs it up has said when"
    cluster().drop(name)
    lost = doctor(jitgate)
    assert lost["database"]["state"] == "mend"
    assert "JITGATE_DATABASE" in lost["database"]["do"]
    assert lost["server"]["state"] == "unseen"


def doctor(jitgate: Jitgate) -> dict[str, dict[str, str]]:
    done = jitgate.run("doctor", "--json")
    return {each["check"]: each for each in json.loads(done.stdout)}
