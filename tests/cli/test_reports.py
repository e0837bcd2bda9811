"""`jitgate audit` and `jitgate policy history`."""

import csv
import io
import json

from tests.cli.conftest import Cli


def test_who_could_open_what_is_shown_and_exported(cli: Cli) -> None:
    assert (
        "web-1" in cli("audit", "who-could", "--at", "0s").out or "web-1" in cli("audit", "who-could", "--at", "1s").out
    )
    lines = [json.loads(line) for line in cli("audit", "who-could", "--at", "2999-01-01", "--jsonl").out.splitlines()]
    assert {(line["person"], line["port"]) for line in lines} >= {("owner", 22)}
    rows = list(csv.DictReader(io.StringIO(cli("audit", "who-could", "--at", "2999-01-01", "--csv").out)))
    assert [row["machine"] for row in rows] == [line["machine"] for line in lines]
    assert cli("audit", "who-could", "--at", "2001-01-01", "-o", "json").data == []


def test_an_access_review_tells_last_uses(cli: Cli) -> None:
    cli("open", "web-1", "ssh")
    found = cli("audit", "access-review", "-o", "json").data
    owner = next(one for one in found if one["person"] == "owner")
    assert owner["role"] == "Owner"
    assert owner["lastUsedUtc"] is not None
    assert "Owner" in cli("audit", "access-review").out
    assert cli("audit", "access-review", "--csv").out.splitlines()[0].startswith("person,disabled,role,scope,via")


def test_the_history_of_policies_shows_what_changed(cli: Cli) -> None:
    cli("policy", "set", "web-1", "2222", "--max", "1h", "--yes")
    out = cli("policy", "history").out
    assert "+ 22 TCP" in out or "+ 22 *" in out
    assert "2222" in out
    assert cli("policy", "history", "no-such-policy", "-o", "json").data == []
    assert cli("policy", "history", "--csv", "--jsonl").code == 2
