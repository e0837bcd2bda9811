"""Home: what is open for me, what waits, what I can do about it."""

import re

from tests.portal.browser import Stage

from jitgate.core.desired import Protocol
from jitgate.store import attempts, machines
from jitgate.store.attempts import Attempt
from jitgate.store.database import Tx


def test_a_link_opened_in_a_real_browser_signs_in_and_out(stage: Stage) -> None:
    with stage.server.client() as owner:
        path = owner.post("/api/v1/sign-in-links").json()["path"]
    page = stage.context().new_page()
    stage.watch(page)
    page.goto(path)
    page.get_by_role("heading", name="Home").wait_for()
    page.locator(".side summary").click()
    page.locator(".side").get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.locator(".side").get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in to jitgate").wait_for()
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_home_shows_an_open_port_with_what_is_left_and_how_to_connect(stage: Stage) -> None:
    page = stage.open("/", as_="requester")
    card = page.get_by_role("listitem").filter(has_text="web-1")
    card.get_by_text("ssh 10.9.9.9").wait_for()
    card.get_by_text("from 203.0.113.7 (office)").wait_for()
    assert re.fullmatch(r"5\d:\d\d", card.get_by_role("timer").inner_text())
    stage.check(page)


def test_who_is_done_sees_their_port_shut_without_loading_the_page_again(stage: Stage) -> None:
    page = stage.open("/", as_="requester")
    page.get_by_role("button", name="I'm done").click()
    page.get_by_text("It is being shut.").wait_for()
    page.get_by_text("Nothing is open for you").wait_for()
    page.get_by_role("row").filter(has_text="web-1").get_by_text("done early").wait_for()


def test_two_people_see_at_once_what_either_does(stage: Stage) -> None:
    mine = stage.open("/", as_="requester")
    theirs = stage.open("/", as_="approver")
    theirs.get_by_text("Waits for your decision").wait_for()
    mine.get_by_role("button", name="Withdraw").click()
    theirs.get_by_text("Waits for your decision").wait_for(state="detached")


def test_what_is_refused_is_said_where_it_was_asked(stage: Stage) -> None:
    page = stage.open("/", as_="requester")
    page.get_by_text("Extend").first.click()
    length = page.get_by_label("Keep it open for")
    assert length.locator("option").all_inner_texts() == ["2 hours"]  # what the guardrail allows, and no more
    length.evaluate("select => { select.options[0].value = 'PT24H' }")
    page.locator("details[open]").get_by_role("button", name="Extend").click()
    page.locator("details[open]").get_by_role("alert").get_by_text("Allowed: at most").wait_for()
    length.evaluate("select => { select.options[0].value = 'PT2H' }")
    page.locator("details[open]").get_by_role("button", name="Extend").click()
    page.get_by_text("It stays open for longer.").wait_for()
    page.get_by_role("timer").filter(has_text=re.compile(r"1:5\d:")).wait_for()


def test_without_scripts_every_form_works_and_says_the_same(stage: Stage) -> None:
    page = stage.open("/", as_="requester", java_script_enabled=False)
    grant = f"/grants/{stage.scenery.asked['grants'][0]['id']}"
    own = {"Origin": stage.server.base_url}
    page.context.request.post(f"{grant}/extend", form={"length": "PT24H", "then": "/"}, headers=own, max_redirects=0)
    page.reload()
    page.get_by_text("Extend").first.click()
    page.get_by_role("alert").get_by_text("Allowed: at most").wait_for()
    page.get_by_role("button", name="Extend").click()
    page.get_by_text("It stays open for longer.").wait_for()
    page.get_by_role("button", name="I'm done").click()
    page.get_by_text("It is being shut.").wait_for()
    page.reload()
    assert page.get_by_text("It is being shut.").count() == 0


def test_who_was_turned_away_moves_their_port_to_where_they_are(stage: Stage) -> None:
    _turn_away(stage, "web-1")
    page = stage.open("/", as_="requester")
    assert stage.scenery.asked["grants"][0]["sources"] == ["203.0.113.7"]
    page.get_by_role("button", name="Open it for 198.51.100.9 instead").click()
    page.get_by_text("It is being opened for 198.51.100.9.").wait_for()
    page.get_by_text("22 · SSH · from 198.51.100.9").wait_for()
    page.get_by_text("replaced by a newer request").wait_for()


def test_a_move_that_others_have_to_agree_to_says_so_and_what_stays_open_meanwhile(stage: Stage) -> None:
    with stage.server.client() as owner:
        limits = {"selector": {"scope": stage.server.machine_id("web-1")}, "limits": {"approvals": 1}}
        assert owner.put("/api/v1/guardrails/moves", json=limits).is_success
    _turn_away(stage, "web-1")
    page, other = stage.open("/", as_="requester"), stage.open("/approvals", as_="approver")
    page.get_by_role("button", name="Open it for 198.51.100.9 instead").click()
    page.get_by_text(
        "Others have to agree to 198.51.100.9 first. Until then it stays open for where it was."
    ).wait_for()
    page.get_by_role("listitem").filter(has_text="web-1").get_by_text("from 203.0.113.7").wait_for()
    other.get_by_role("link", name="web-1").click()
    other.get_by_text("an open grant here from another source, which shuts once this one is open").wait_for()
    other.get_by_role("button", name="Approve").click()
    page.get_by_text("22 · SSH · from 198.51.100.9").wait_for()


def _turn_away(stage: Stage, name: str) -> None:
    """Have the firewall tell of an attempt from where the grant is not for."""
    store = stage.server.service.store
    [machine] = stage.server.call(store.read(lambda tx: machines.find(tx, name)))

    def turn_away(tx: Tx) -> None:
        attempts.replace(tx, machine.uuid, [Attempt(machine.uuid, 22, Protocol.TCP, "198.51.100.9", tx.now)])

    stage.server.call(store.write(turn_away))


def test_a_page_that_lost_its_connection_says_so_and_catches_up(stage: Stage) -> None:
    page = stage.open("/", as_="requester")
    with stage.server.client(stage.scenery.requester) as client:
        assert client.post(f"/api/v1/requests/{stage.scenery.pending['id']}/withdraw").is_success
    page.get_by_role("row").filter(has_text="withdrawn").wait_for()  # so it had a connection
    page.context.set_offline(True)
    stage.server.drop_connections()
    page.get_by_text("Not connected.").wait_for()
    with stage.server.client(stage.scenery.requester) as client:
        assert client.post(f"/api/v1/grants/{stage.scenery.asked['grants'][0]['id']}/close").is_success
    page.context.set_offline(False)
    page.get_by_text("Nothing is open for you").wait_for(timeout=60_000)


def test_a_page_whose_session_has_ended_leads_to_the_sign_in_page(stage: Stage) -> None:
    context = stage.context("requester")
    one, other = context.new_page(), context.new_page()
    for page in (one, other):
        page.goto("/")
    one.locator(".side summary").click()
    one.locator(".side").get_by_role("button", name="Sign out").click()
    other.get_by_role("heading", name="Sign in to jitgate").wait_for(timeout=60_000)


def test_the_keyboard_alone_is_enough(stage: Stage) -> None:
    page = stage.open("/", as_="requester")
    page.keyboard.press("Tab")
    page.get_by_role("link", name="Skip to the content").press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    menu = page.locator(".side summary")
    menu.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent.trim()") == "As the system"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
