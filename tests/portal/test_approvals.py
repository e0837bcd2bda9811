"""Approvals: what matters on one page, and never a button that lies."""

import pytest
from playwright.sync_api import expect
from tests.portal.browser import Stage

from jitgate.service import approvals
from jitgate.trust import links


def decide(stage: Stage) -> str:
    """Where the requester's request that waits is decided."""
    return f"/approvals/{stage.scenery.pending['id']}"


def test_an_approver_sees_what_matters_and_agrees_to_less_than_was_asked_for(stage: Stage) -> None:
    page = stage.open("/approvals", as_="approver")
    page.get_by_role("link", name="web-2").click()
    page.get_by_text("office", exact=True).wait_for()
    page.get_by_text("of 2 hours allowed").wait_for()
    page.get_by_role("heading", name="Asked for before by requester").wait_for()
    page.get_by_label("For how long").select_option("30 minutes at most")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("heading", name="It is decided").wait_for()
    page.get_by_text("shortened it from 1 h to 30 min").wait_for()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    stage.check(page)


def test_ports_with_sources_and_times_of_their_own_are_all_told_to_who_decides(stage: Stage) -> None:
    wanted = [("web-1", "198.51.100.0/24", "PT15M"), ("web-2", "203.0.113.7", "PT1H")]
    machines = [
        {"id": name, "ports": [{"number": 22, "sources": [source], "duration": length}]}
        for name, source, length in wanted
    ]
    with stage.server.client(stage.scenery.requester) as requester:
        assert requester.post("/api/v1/requests", json={"machines": machines}).is_success
    look = stage.context("approver").request
    assert "For 15 minutes to 1 hour from 198.51.100.0/24, 203.0.113.7 (office)" in look.get("/approvals").text()
    assert "from 198.51.100.0/24, 203.0.113.7" in look.get("/").text()


def test_a_page_without_any_for_the_reader_leads_on_to_later_ones(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approvals, "MOST_LOOKED_AT", 1)
    port = {"number": 22, "sources": ["198.51.100.9"], "duration": "PT15M"}
    wanted = {"machines": [{"id": "web-2", "ports": [port]}], "justification": "INC-8"}
    stage.server.token_of("second", "JIT Approver")
    for token in (stage.server.token, stage.scenery.requester):
        with stage.server.client(token) as asks:
            assert asks.post("/api/v1/requests", json=wanted).is_success
    page = stage.open("/approvals")
    expect(page.get_by_role("link", name="web-2")).to_have_count(1)
    page.get_by_role("link", name="Later ones").click()
    page.get_by_text("None of those that have waited for longest").wait_for()
    page.get_by_role("link", name="Later ones").click()
    expect(page.get_by_role("link", name="web-2")).to_have_count(1)
    expect(page.get_by_role("link", name="Later ones")).to_have_count(0)


def test_who_is_slower_sees_the_others_result_and_no_button_that_lies(stage: Stage) -> None:
    """Cases AP1, AP2, as pages that are connected see it."""
    first, second = stage.open(decide(stage), as_="approver"), stage.open(decide(stage), as_="owner")
    second.get_by_role("button", name="Deny").wait_for()
    first.get_by_label("Reason to deny").fill("use staging")
    first.get_by_role("button", name="Deny").click()
    second.get_by_role("heading", name="It is decided").wait_for()
    second.get_by_text("use staging").first.wait_for()
    expect(second.get_by_role("button", name="Approve")).to_have_count(0)


def test_a_stale_page_is_answered_with_what_became_of_it(stage: Stage) -> None:
    """The same without scripts: the button is still there, and does not lie."""
    stale = stage.open(decide(stage), as_="owner", java_script_enabled=False)
    with stage.server.client(stage.scenery.requester) as requester:
        assert requester.post(f"/api/v1/requests/{stage.scenery.pending['id']}/withdraw").is_success
    stale.get_by_role("button", name="Approve").click()
    stale.get_by_text("withdrawn").first.wait_for()
    stale.get_by_role("heading", name="It waits no more").wait_for()


def test_a_denial_without_a_reason_is_refused_where_it_was_asked(stage: Stage) -> None:
    page = stage.open(decide(stage), as_="approver")
    page.get_by_label("Reason to deny").fill("   ")
    page.get_by_role("button", name="Deny").click()
    page.get_by_role("alert").get_by_text("A reason is needed").wait_for()


def test_the_link_of_a_notification_leads_to_its_request_also_by_way_of_the_sign_in(stage: Stage) -> None:
    with stage.server.client() as owner:
        uid = owner.get("/api/v1/whoami").json()["id"]
        sign_in = owner.post("/api/v1/sign-in-links").json()["path"]
    link = links.make(stage.server.service.settings.link_keys()[0], stage.scenery.pending["id"], uid)
    page = stage.context().new_page()
    stage.watch(page)
    page.goto(f"/approve#{link}")
    page.get_by_role("heading", name="Sign in to jitgate").wait_for()
    page.goto(sign_in)
    page.get_by_role("heading", name="Home").wait_for()
    page.goto("/approve")
    page.get_by_role("heading", name="requester asks for web-2").wait_for()
    expect(page.get_by_role("button", name="Approve")).to_have_count(1)


def test_a_link_that_was_made_for_somebody_else_leads_nowhere(stage: Stage) -> None:
    page = stage.open("/approve", as_="approver")
    page.get_by_label("Link").fill("jga_" + "0" * 32 + "_" + "A" * 43)
    page.get_by_role("button", name="Open it").click()
    page.get_by_text("made for somebody else").wait_for()


def test_what_broke_the_glass_is_reviewed_with_what_was_found(stage: Stage) -> None:
    page = stage.open("/approvals", as_="approver")
    page.get_by_label("What you found").fill("a real fire")
    page.get_by_role("button", name="Close the review").click()
    page.get_by_role("heading", name="Broke the glass").wait_for(state="detached")
