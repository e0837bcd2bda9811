"""`jitgate insights`, as people type it."""

import csv
import io

from tests.cli.conftest import Cli


def test_the_figures_are_shown_and_exported(cli: Cli) -> None:
    assert cli("open", "web-1", "ssh", "--for", "1h").code == 0
    ran = cli("insights", "--days", "7")
    assert ran.code == 0, ran
    assert "1 of port 22, on 1 machine(s)" in ran.out
    assert "single addresses" in ran.out
    rows = list(csv.DictReader(io.StringIO(cli("insights", "--csv", "days", "--days", "7").out)))
    assert [row["requests"] for row in rows] == ["0"] * 6 + ["1"]
    wide = list(csv.DictReader(io.StringIO(cli("insights", "--csv", "wide-policies").out)))
    assert ("22", "sources") in {(row["port"], row["kind"]) for row in wide}
    assert cli("insights", "--csv", "idle-machines").out.startswith("machine,name,lastAskedUtc")
