"""The activity log: filters in the address, details, and all that they match as CSV."""

import csv
import io

import pytest
from playwright.sync_api import expect
from tests.portal.browser import Stage, downloaded

from jitgate.audit import Operation, Outcome
from jitgate.web.portal import record_words


def test_filters_are_in_the_address_and_the_download_is_what_they_match(stage: Stage) -> None:
    page = stage.open("/activity")
    page.get_by_label("Who").fill("REQUESTER")
    page.get_by_label("What").select_option("asked for access")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".event")).to_have_count(2)
    assert "person=REQUESTER" in page.url
    page.locator(".event summary").first.click()
    page.locator(".event").first.get_by_text("203.0.113.7").first.wait_for()
    stage.check(page)
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "Download as CSV").body.decode())))
    assert [(row["caller"], row["operation"]) for row in rows] == [("requester", str(Operation.REQUEST))] * 2
    page.goto("/activity?machine=web-1&outcome=Succeeded")
    expect(page.locator(".event").first).to_contain_text("web-1")


def test_new_entries_and_their_seal_come_by_themselves(stage: Stage) -> None:
    page = stage.open("/activity")
    with stage.server.client() as owner:
        assert owner.put("/api/v1/networks/lab", json={"prefixes": ["192.0.2.0/24"]}).is_success
    entry = page.locator(".event").filter(has=page.get_by_text("lab", exact=True))  # others may have come after it
    entry.locator("summary").click()
    entry.get_by_text("Sealed", exact=True).wait_for()


def test_an_entry_that_is_being_read_stays_open_and_focused_while_others_come(stage: Stage) -> None:
    page = stage.open("/activity")
    name = page.locator(".event summary").first.get_attribute("id")
    page.locator(f"#{name}").click()  # others may have come before it
    with stage.server.client() as owner:
        assert owner.put("/api/v1/networks/hall", json={"prefixes": ["192.0.2.0/24"]}).is_success
    page.locator(".event").filter(has=page.get_by_text("hall", exact=True)).wait_for()
    expect(page.locator(f".event:has(#{name}) details")).to_have_attribute("open", "")
    assert page.evaluate("document.activeElement.id") == name
    expect(page.locator("details[open]")).to_have_count(1)


def test_what_no_filter_could_be_is_said_beside_the_filters(stage: Stage) -> None:
    context = stage.context("owner")
    answer = context.request.get("/activity?since=yesterday")
    assert answer.status == 400
    assert "Allowed: a day such as 2030-01-31" in answer.text()


def test_roles_are_told_by_their_names_and_freezes_with_their_reason(stage: Stage) -> None:
    shown = stage.context("owner").request.get("/activity").text()
    for words in ("Reader for someone", '<span class="nowrap">Own role</span>', "“test”"):
        assert words in shown, words


def test_who_may_not_read_the_record_is_shown_none_of_it(stage: Stage) -> None:
    context = stage.context("requester")
    for path in ("/activity", "/activity/export", "/activity?machine=web-1"):
        answer = context.request.get(path)
        assert answer.status in (403, 404), path
        assert "Jitgate.Access/" not in answer.text()
    assert 'href="/activity"' not in context.request.get("/").text()


@pytest.mark.parametrize("operation", list(Operation))
def test_everything_on_record_has_words(operation: Operation) -> None:
    assert operation in record_words.WORDS
    assert {str(one) for one in Outcome} == record_words.OUTCOMES.keys()
