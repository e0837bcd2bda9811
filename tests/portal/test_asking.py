"""Request access: choose, see what would happen before it does, ask, and watch it come to pass."""

import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page
from tests.portal.browser import Stage
from tests.web.scenery import RULE

from jitgate.core.machine import SESSIONS_GO_ON
from jitgate.store import machines
from jitgate.store.database import Tx


def test_a_port_is_asked_for_and_opens_while_the_page_shows_how_far_it_is(stage: Stage) -> None:
    page = stage.open("/", "owner")
    page.get_by_role("main").get_by_role("link", name="Request access").first.click()
    stage.check(page)
    page.get_by_label("Name, address or tag").fill("WEB-1")
    page.get_by_label("web-2").wait_for(state="detached")
    page.get_by_label("web-1").check()
    page.get_by_role("button", name="Choose ports").click()
    page.get_by_text("Opens at once").wait_for()
    page.get_by_role("switch", name="22 SSH").uncheck()
    page.get_by_text("No port is switched on.").wait_for()
    page.get_by_role("switch", name="22 SSH").check()
    page.get_by_label("For how long").fill("120")
    page.get_by_text("from 127.0.0.1 for 2 hours").wait_for()
    stage.check(page)
    page.get_by_role("button", name="Open ports").click()
    page.get_by_role("heading", name="Access to web-1").wait_for()
    page.get_by_text("ssh 10.9.9.9").wait_for()
    assert re.match(r"1:5\d:", page.get_by_role("timer").inner_text())
    stage.check(page)


def test_what_needs_approval_says_so_before_and_waits_until_somebody_agrees(stage: Stage) -> None:
    second = stage.server.client(stage.server.token_of("second", "JIT Approver"))
    page = stage.open("/request?machine=web-2", "owner")
    page.get_by_text("Needs approval").wait_for()
    page.get_by_role("button", name="Ask for approval").click()
    page.get_by_text("1 has to agree.").wait_for()
    uid = urlsplit(page.url).path.rpartition("/")[2]
    with second:
        assert second.post(f"/api/v1/requests/{uid}/approve", json={"note": "go on"}).is_success
    page.get_by_text("second agreed").wait_for()
    page.get_by_text("ssh 10.9.9.9").wait_for()


def test_a_link_fills_the_form_in_and_asks_for_nothing_by_itself(stage: Stage) -> None:
    before = stage.server.rows("meta", "activity", "credential", "scope_state")["grants"]
    page = stage.open("/request?machine=web-1&port=22&for=90m&from=198.51.100.0/24&why=INC-7", "owner")
    assert page.get_by_role("switch", name="22 SSH").is_checked()
    assert page.get_by_label("For how long").input_value() == "90"
    assert page.get_by_label("Addresses or ranges, separated").input_value() == "198.51.100.0/24"
    assert page.get_by_label("Why").input_value() == "INC-7"
    page.get_by_text("from 198.51.100.0/24 for 1 hour 30 minutes").wait_for()
    assert stage.server.rows("meta", "activity", "credential", "scope_state")["grants"] == before


def test_what_would_be_refused_is_said_in_the_same_words_before_and_after(stage: Stage) -> None:
    page = stage.open("/request?machine=web-1", "owner")
    page.get_by_label("Addresses or ranges, separated").fill("300.1.1.1")
    page.get_by_text("is not a source address").wait_for()
    page.get_by_role("button", name="Open ports").click()
    page.get_by_text("is not a source address").wait_for()
    assert page.get_by_label("Addresses or ranges, separated").input_value() == "300.1.1.1"


def test_without_scripts_it_can_be_checked_and_asked(stage: Stage) -> None:
    page = stage.open("/request?machine=web-1", "owner", java_script_enabled=False)
    page.get_by_label("Why").fill("INC-8")
    page.get_by_role("button", name="Check what would happen").click()
    page.get_by_text("Opens at once").wait_for()
    assert page.get_by_label("Why").input_value() == "INC-8"
    page.get_by_role("button", name="Open ports").click()
    page.get_by_role("heading", name="Access to web-1").wait_for()
    page.get_by_text("INC-8").wait_for()


def _two_ports(stage: Stage) -> None:
    """Port 3389 of web-1 too, for half an hour at most."""
    short = {**RULE, "number": 3389, "maxRequestAccessDuration": "PT30M"}
    body = {"properties": {"virtualMachines": [{"id": stage.server.machine_id("web-1"), "ports": [RULE, short]}]}}
    with stage.server.client() as owner:
        assert owner.put(f"{stage.scenery.policy}?api-version=2020-01-01", json=body).is_success


def _asked_ports(stage: Stage, page: Page) -> dict[int, tuple[list[str], str]]:
    """By port the sources and the time that the request of a page was made with."""
    page.get_by_role("heading", name="Access to web-1").wait_for()
    with stage.server.client() as owner:
        made = owner.get(f"/api/v1/requests/{urlsplit(page.url).path.rpartition('/')[2]}").json()
    return {one["port"]: (one["sources"], one["duration"]) for one in made["grants"]}


def test_each_port_can_have_a_source_and_a_time_of_its_own_and_the_others_have_that_for_all(stage: Stage) -> None:
    _two_ports(stage)
    page = stage.open("/request?machine=web-1&port=22&port=3389&for=90m", "owner")
    page.get_by_text("3389 from 127.0.0.1 for 30 minutes (its limit)").wait_for()
    own = page.get_by_role("group", name="Source and time of web-1 3389")
    assert not own.is_visible()
    page.get_by_label("Its own source and time for web-1 3389").check()
    assert own.get_by_label("For how long").input_value() == "30"
    own.get_by_label("Addresses or ranges").fill("198.51.100.0/24")
    own.get_by_label("For how long").fill("15")
    page.get_by_text("3389 from 198.51.100.0/24 for 15 minutes").wait_for()
    page.get_by_text("22 from 127.0.0.1 for 1 hour 30 minutes").wait_for()
    stage.check(page)
    page.get_by_role("switch", name="3389").uncheck()
    own.wait_for(state="hidden")
    page.get_by_role("switch", name="3389").check()
    page.get_by_role("button", name="Open ports").click()
    wanted = {22: (["127.0.0.1"], "PT1H30M"), 3389: (["198.51.100.0/24"], "PT15M")}
    assert _asked_ports(stage, page) == wanted


def test_a_link_says_from_where_and_for_how_long_for_a_port_of_its_own(stage: Stage) -> None:
    _two_ports(stage)
    own = "port=3389,for=15m,from=198.51.100.0/24,from=2001:db8::/48"
    page = stage.open(f"/request?machine=web-1&port=22&{own}&for=90m", "owner")
    page.get_by_text("22 from 127.0.0.1 for 1 hour 30 minutes").wait_for()
    page.get_by_text("3389 from 198.51.100.0/24, 2001:db8::/48 for 15 minutes").wait_for()
    page.get_by_role("button", name="Open ports").click()
    wanted = {22: (["127.0.0.1"], "PT1H30M"), 3389: (["198.51.100.0/24", "2001:db8::/48"], "PT15M")}
    assert _asked_ports(stage, page) == wanted


def test_a_link_that_names_no_port_of_the_machine_switches_none_on(stage: Stage) -> None:
    for port in ("ssh", "4000", "22x,for=1h", "9" * 5000):
        shown = stage.context("owner").request.get("/request", params={"machine": "web-1", "port": port})
        assert shown.ok, port
        assert "No port is switched on." in shown.text(), port


def test_without_scripts_a_port_has_its_own_source_and_time_too(stage: Stage) -> None:
    _two_ports(stage)
    page = stage.open("/request?machine=web-1&port=22&port=3389", "owner", java_script_enabled=False)
    page.get_by_label("Its own source and time for web-1 22").check()
    own = page.get_by_role("group", name="Source and time of web-1 22")
    own.get_by_label("From where").select_option("ranges")
    page.get_by_role("button", name="Check what would happen").click()
    page.get_by_text("No source is typed").wait_for()
    own.get_by_label("Addresses or ranges").fill("2001:db8::/48")
    page.get_by_role("button", name="Open ports").click()
    wanted = {22: (["2001:db8::/48"], "PT1H"), 3389: (["127.0.0.1"], "PT30M")}
    assert _asked_ports(stage, page) == wanted


def test_the_whole_way_from_asking_to_being_done_takes_no_mouse(stage: Stage) -> None:
    page = stage.open("/", "requester")
    press(page, page.get_by_role("main").get_by_role("link", name="Request access"), "Enter")
    press(page, page.get_by_label("Name, address or tag"), "w", "e", "b", "-", "1")
    page.get_by_label("web-2").wait_for(state="detached")
    press(page, page.get_by_label("web-1"), "Space")
    press(page, page.get_by_role("button", name="Choose ports"), "Enter")
    page.get_by_text("from 127.0.0.1 for 1 hour").wait_for()
    press(page, page.get_by_role("switch", name="22 SSH"), "Space")
    page.get_by_text("No port is switched on.").wait_for()
    press(page, page.get_by_label("For how long"), "ArrowRight")
    page.keyboard.press("Shift+Tab")
    press(page, page.get_by_role("switch", name="22 SSH"), "Space")
    page.get_by_text("from 127.0.0.1 for 1 hour 15 minutes").wait_for()
    press(page, page.get_by_label("Why"), "f", "i", "x")
    press(page, page.get_by_role("button", name="Open ports"), "Enter")
    page.get_by_text("ssh 10.9.9.9").wait_for()
    until = page.locator("progress[data-until]").get_attribute("data-until")
    press(page, page.locator("summary").get_by_text("Extend"), "Enter")
    press(page, page.get_by_label("Keep it open for"), "End")
    press(page, page.get_by_role("button", name="Extend", exact=True), "Enter")
    page.locator(f"progress[data-until]:not([data-until='{until}'])").wait_for()
    press(page, page.get_by_role("button", name="I'm done"), "Enter")
    page.get_by_text("done early").wait_for()


def test_approving_takes_no_mouse(stage: Stage) -> None:
    page = stage.open("/approvals", as_="approver")
    press(page, page.get_by_role("link", name="web-2"), "Enter")
    press(page, page.get_by_label("For how long"), "ArrowDown")
    press(page, page.get_by_label("Note", exact=True), "o", "k")
    press(page, page.get_by_role("button", name="Approve"), "Enter")
    page.get_by_role("heading", name="It is decided").wait_for()
    page.get_by_text("“ok”").wait_for()


def press(page: Page, target: Locator, *keys: str) -> None:
    """Go on to something by the keyboard, as far as it takes, and press keys there."""
    target.wait_for()
    for _ in range(60):
        if target.evaluate("it => it === document.activeElement"):
            for key in keys:
                page.keyboard.press(key)
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not come to {target}")


def test_what_was_shut_can_be_asked_for_again_as_it_was(stage: Stage) -> None:
    page = stage.open("/", "requester")
    page.get_by_role("button", name="I'm done").click()
    again = page.get_by_role("link", name="Ask again for port 22 of web-1")
    query = parse_qs(urlsplit(again.get_attribute("href") or "").query)
    assert query["for"] == ["PT1H"]
    again.click()
    page.get_by_text("Opens at once").wait_for()


def without_time(page: str) -> str:
    """A page, but for when it was made, and how far the record was then."""
    return re.sub(r'data-now="[^"]*"|after=\d+', "", page)


def test_what_never_opened_says_so(stage: Stage) -> None:
    path = f"/requests/{stage.scenery.pending['id']}"
    with stage.server.client(stage.scenery.requester) as requester:
        assert requester.post(f"/api/v1{path}/withdraw").is_success
    shown = stage.context("requester").request.get(path).text()
    for words in ("It never opened: withdrawn", "1 had to agree", "Never opened"):
        assert words in shown, words
    assert "The firewall opens it" not in shown


def test_nobody_sees_what_they_may_not_ask_for_or_read(stage: Stage) -> None:
    stage.server.token_of("outsider", "Owner", f"{stage.scenery.subscription}/resourceGroups/neighbour")
    context = stage.context("outsider")
    there, nowhere = (context.request.get(f"/request?machine={name}") for name in ("web-1", "web-9"))
    assert there.status == nowhere.status == 404
    assert without_time(there.text()).replace("web-1", "web-9") == without_time(nowhere.text())
    assert "web-1" not in context.request.get("/request").text()
    assert context.request.get(f"/requests/{stage.scenery.asked['id']}").status == 404
    assert context.request.get(f"/requests/{'0' * 32}").status == 404


def test_sessions_that_shall_end_and_cannot_are_told_of_before_anything_is_asked_for(stage: Stage) -> None:
    def go_on(tx: Tx) -> None:
        (found,) = machines.find(tx, "web-1")
        machines.put(tx, [replace(found, facts={SESSIONS_GO_ON: "groups let them go on"})])

    stage.server.call(stage.server.service.store.write(go_on))
    limits = {"selector": {"scope": "/"}, "limits": {"session": "end"}}
    with stage.server.client() as owner:
        assert owner.put("/api/v1/guardrails/end", json=limits).is_success
    page = stage.open("/request?machine=web-1", "owner")
    page.get_by_text("this firewall cannot cut them: groups let them go on.").wait_for()
