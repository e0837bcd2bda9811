"""The pages of machines: three tabs, one machine, its configuration, and the plan."""

from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.portal.browser import Stage, downloaded, session_of
from tests.server import Server

from jitgate.core.machine import SESSIONS_GO_ON
from jitgate.core.prefixes import ANY_IPV4
from jitgate.store import machines
from jitgate.store.database import Tx
from jitgate.web.portal.session import COOKIE


def test_several_machines_are_enabled_at_once_after_a_look_at_what_that_does(stage: Stage) -> None:
    page = stage.open("/machines?tab=notConfigured")
    enable = page.get_by_role("button", name="Enable JIT")
    expect(enable).to_be_disabled()
    page.get_by_role("checkbox", name="Mark win-1").check()
    page.get_by_role("checkbox", name="Mark host-1").check()
    page.get_by_role("button", name="Enable JIT on 2 machines").click()
    page.get_by_role("heading", name="Configure 2 machines").wait_for()
    for port in (22, 3389):
        expect(page.get_by_role("checkbox", name=f"Protect port {port}")).to_be_checked()
    page.get_by_role("checkbox", name="Protect port 22").uncheck()
    page.get_by_role("button", name="Show what saving would do").click()
    expect(page.get_by_text("3389 TCP and UDP, any source, up to 3 h")).to_have_count(2)
    page.get_by_text("There are none on these machines.").wait_for()
    stage.check(page)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("2 machines are configured.").wait_for()
    page.get_by_role("link", name="win-1", exact=True).wait_for()
    page.goto("/machines?tab=notConfigured")
    page.get_by_text("Nothing left to protect").wait_for()


def test_a_row_tells_who_is_in_and_its_menu_opens_by_a_right_click_too(stage: Stage) -> None:
    """J9, J13, J26."""
    page = stage.open("/machines")
    row = page.get_by_role("row").filter(has_text="web-1")
    row.get_by_text("requester").first.wait_for()
    page.get_by_role("row").filter(has_text="web-2").get_by_text("owner").first.wait_for()
    row.get_by_text("requester").first.click(button="right")
    for name, leads_to in (
        ("Request access", r"/request\?machine="),
        ("Edit", r"/configure\?machine="),
        ("Properties", "/machines/"),
        ("Activity log", r"/activity\?machine="),
        ("Remove", "/remove"),
    ):
        link = row.get_by_role("link", name=name, exact=True)
        expect(link).to_be_visible()
        assert page.evaluate("([href, is]) => new RegExp(is).test(href)", [link.get_attribute("href"), leads_to])
    page.keyboard.press("Escape")
    expect(row.get_by_role("link", name="Edit", exact=True)).to_be_hidden()
    row.get_by_label("Actions for web-1").press("Enter")
    row.get_by_role("link", name="Activity log").click()
    page.get_by_role("heading", name="Activity log").wait_for()


def test_machines_are_looked_for_without_scripts_too(stage: Stage) -> None:
    page = stage.open("/machines", java_script_enabled=False)
    page.get_by_role("searchbox").fill("WEB-2")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("checkbox", name="Mark web-2").check()
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("heading", name="Configure web-2").wait_for()
    page.goto("/machines?q=nothing-like-that")
    page.get_by_text("No machine here is like that").wait_for()


def test_a_removed_port_says_which_grant_closes_and_closes_it_only_when_saved(stage: Stage) -> None:
    page = _edit(stage)
    _swap(page)
    page.get_by_role("button", name="Show what saving would do").click()
    page.get_by_text("web-1 22 of requester, from 203.0.113.7").wait_for()
    page.get_by_text("8443 TCP, 203.0.113.0/24, up to 1 h").wait_for()
    stage.check(page)
    assert _state(stage) == "open"
    page.get_by_role("button", name="Save").click()
    page.get_by_role("cell", name="203.0.113.0/24").wait_for()
    page.get_by_text("its policy is gone").first.wait_for()


def test_who_edits_what_somebody_has_changed_meanwhile_sees_it_as_it_is_now(stage: Stage) -> None:
    first, second = _edit(stage), _edit(stage)
    _swap(first)
    first.get_by_role("button", name="Show what saving would do").click()
    first.get_by_role("button", name="Save").click()
    first.get_by_role("heading", name="web-1", exact=True).wait_for()
    second.get_by_role("button", name="Show what saving would do").click()
    second.get_by_role("alert").get_by_text("Somebody has changed this since you looked at it.").wait_for()
    expect(second.get_by_label("Port number")).to_have_value("8443")


def test_a_port_that_cannot_be_is_refused_with_what_was_typed_still_there(stage: Stage) -> None:
    page = _edit(stage)
    page.get_by_label("Allowed sources of port 22").fill("everywhere")
    page.get_by_role("button", name="Show what saving would do").click()
    page.get_by_role("alert").get_by_text("is not a source address").wait_for()
    expect(page.get_by_label("Allowed sources of port 22")).to_have_value("everywhere")


def test_a_machine_is_connected_to_from_its_own_page(stage: Stage) -> None:
    """J12, J16, J19."""
    page = stage.open("/machines/win-1")
    page.get_by_text("JIT is not enabled").wait_for()
    page.get_by_role("button", name="Enable just-in-time").click()
    page.get_by_role("button", name="Request access").wait_for()
    page.get_by_text("Just-in-time access is on.").wait_for()
    page.get_by_label("Source").fill("203.0.113.9")
    page.get_by_label("Time", exact=True).select_option("1 hour")
    page.get_by_role("button", name="Request access").click()
    page.get_by_text("mstsc /v:10.9.9.9").wait_for()
    page.get_by_text("the machine still asks for its own user").wait_for()
    page.get_by_role("listitem").get_by_role("timer").wait_for()
    download = downloaded(page, "Remote desktop file")
    assert download.name == "win-1.rdp"
    text = download.body.decode()
    assert text.startswith("full address:s:10.9.9.9:3389\r\n")
    assert "prompt for credentials:i:1" in text
    stage.check(page)


def test_what_is_refused_at_connecting_is_said_there(stage: Stage) -> None:
    page = stage.open("/machines/web-1", as_="reader")
    expect(page.get_by_role("link", name="Configure")).to_have_count(0)
    page.get_by_label("Source").fill("203.0.113.9")
    page.get_by_role("button", name="Request access").click()
    page.locator("#problem-connect").get_by_text("you lack the right").wait_for()
    expect(page.get_by_label("Source")).to_have_value("203.0.113.9")


def test_removing_a_machine_says_first_who_loses_access(stage: Stage) -> None:
    page = stage.open("/machines/web-1/remove")
    page.get_by_text("1 grant closes at once").wait_for()
    assert _state(stage) == "open"
    page.get_by_role("button", name="Remove").click()
    page.get_by_text("It is no longer protected.").wait_for()
    page.get_by_text("JIT is not enabled").wait_for()


def test_the_plan_and_what_it_would_cost(stage: Stage) -> None:
    """J27."""
    page = stage.open("/pricing?machines=10000")
    page.get_by_text("$146,000.00").wait_for()
    page.get_by_text("6 October 2020").wait_for()
    page.get_by_text("The published table").click()
    expect(page.locator("table.prices tbody tr")).to_have_count(10)
    page.get_by_role("combobox", name="Plan").select_option("free")
    page.get_by_role("button", name="Set").click()
    page.get_by_text("No just-in-time access").wait_for()
    page.get_by_label("Reason").fill("audit")
    page.get_by_role("button", name="Switch off").click()
    page.get_by_role("row").filter(has_text="audit").wait_for()
    stage.check(page)
    page.goto("/machines?tab=unsupported")
    expect(page.get_by_text("Disabled by policy")).to_have_count(4)
    page.get_by_role("link", name="Where it is switched off").first.click()
    page.get_by_role("row").filter(has_text="audit").wait_for()


def test_what_a_connector_has_to_say_of_a_machine_stands_on_its_page(stage: Stage) -> None:
    def say(tx: Tx) -> None:
        (found,) = machines.find(tx, "web-2")
        said = {
            "firewall": "edge",
            SESSIONS_GO_ON: "It is untracked.",
            "notices": ["nsg-1 is locked read-only. Remove the lock."],
        }
        machines.put(tx, [replace(found, provider="azure", facts=said)])

    stage.server.call(stage.server.service.store.write(say))
    with stage.server.client() as owner:
        assert owner.put("/api/v1/guardrails/ends", json={"limits": {"session": "end"}}).is_success
    stage.server.token_of("second", "JIT Approver")
    page = stage.open("/request?machine=web-2")
    page.get_by_text("this firewall cannot cut them: It is untracked.").wait_for()
    page = stage.open("/machines/web-2")
    page.get_by_text("but cannot be promised to: It is untracked.").wait_for()
    page.get_by_text("nsg-1 is locked read-only.").wait_for()
    page.get_by_text("Azure Firewall").wait_for()


def test_rules_of_others_are_changed_only_after_somebody_has_agreed(stage: Stage) -> None:
    async def add() -> None:
        stage.server.connector.add_foreign("open door", 0, 4000, ANY_IPV4, "memory/win-1", "memory/web-2")

    stage.server.call(add())
    page = stage.open("/machines/win-1")
    page.get_by_role("button", name="Enable just-in-time").click()
    page.get_by_text("Consent is needed.").wait_for()
    page.get_by_text("open door").first.wait_for()
    stage.check(page)
    page.get_by_role("button", name="Agree to these changes").click()
    page.get_by_text("Consent is needed.").wait_for(state="detached")
    page.get_by_role("row").filter(has_text="3389").get_by_text("Protected").wait_for()


def _edit(stage: Stage) -> Page:
    return stage.open("/configure?machine=web-1")


def _swap(page: Page) -> None:
    """Port 8443 in place of 22."""
    page.get_by_role("checkbox", name="Protect port 22").uncheck()
    page.get_by_role("button", name="Add a port").click()
    page.get_by_label("Port number").fill("8443")
    page.get_by_label("Allowed sources of the new port").fill("203.0.113.0/24")
    page.get_by_label("Longest time of the new port").select_option("1 hour")


def _state(stage: Stage) -> str:
    with stage.server.client() as owner:
        found: str = owner.get(f"/api/v1/grants/{stage.scenery.asked['grants'][0]['id']}").json()["state"]
    return found


def test_where_there_is_no_machine_yet_pages_say_where_machines_come_from(tmp_path: Path) -> None:
    with Server(tmp_path, reconciles=False, machines=lambda _: []) as server, server.client("") as client:
        cookie = {"Cookie": f"{COOKIE}={session_of(server, 'owner')}"}
        for tab in ("configured", "notConfigured", "unsupported"):
            shown = client.get(f"/machines?tab={tab}", headers=cookie).text
            assert "No machine is known yet" in shown
            assert 'href="/settings/connectors"' in shown
        assert "Enable it on machines" in client.get("/request", headers=cookie).text
