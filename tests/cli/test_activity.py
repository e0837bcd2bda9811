"""`jitgate activity`: the record, for people and for programs."""

import csv
import io
import json

from tests.cli.conftest import ME, Cli


def test_the_record_tells_who_asked_what_was_decided_and_what_the_firewall_did(cli: Cli) -> None:
    cli("open", "web-1", "ssh", "-m", "INC-7")
    cli("open", "web-1", "ssh", "--for", "9h")
    lines = cli("activity").out.splitlines()
    assert any("initiate" in line and "Accepted" in line and "owner" in line for line in lines)
    assert any("initiate" in line and "Refused" in line for line in lines)
    assert any("grants/open" in line and "jitgate" in line for line in lines)


def test_an_export_is_complete_in_order_and_itself_on_record(cli: Cli) -> None:
    """Case UI12."""
    cli("open", "web-1", "ssh", "-m", 'a "quoted", reason')
    lines = [json.loads(line) for line in cli("activity", "--jsonl").out.splitlines()]
    assert [line["id"] for line in lines] == list(range(1, len(lines) + 1))
    assert any("export" in line["operation"] for line in lines)
    rows = list(csv.DictReader(io.StringIO(cli("activity", "--csv").out)))
    assert [row["operation"] for row in rows[: len(lines)]] == [line["operation"] for line in lines]
    asked = next(row for row in rows if row["outcome"] == "Accepted")
    assert json.loads(asked["properties"])["justification"] == 'a "quoted", reason'


def test_an_export_holds_nothing_that_a_spreadsheet_would_run(cli: Cli) -> None:
    cli.server.token_of("=HYPERLINK(evil)", "Owner")
    token = cli.server.token_of("@SUM(1)", "Owner")
    cli("open", "web-1", "ssh", JITGATE_TOKEN=token)
    rows = list(csv.reader(io.StringIO(cli("activity", "--csv").out)))
    cells = [cell for row in rows for cell in row]
    assert "'@SUM(1)" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_it_can_be_narrowed_to_a_machine_a_time_and_an_operation(cli: Cli) -> None:
    cli("open", "web-1", "ssh")
    found = cli("activity", "--machine", "web-1", "--operation", "Jitgate.Access/grants/open", "-o", "json").data
    assert [entry["properties"]["sources"] for entry in found] == [[f"{ME}/32"]]
    assert not cli("activity", "--machine", "web-2", "--operation", "Jitgate.Access/grants/open", "-o", "json").data
    assert not cli("activity", "--until", "2020-01-01", "-o", "json").data


def test_a_listing_is_as_long_as_it_was_asked_for(cli: Cli) -> None:
    assert len(cli("activity", "--limit", "2", "-o", "json").data) == 2
