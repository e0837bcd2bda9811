"""Settings and hosts: what administrators change, said where it was asked, and shown once where it is secret."""

import re

from playwright.sync_api import Locator, expect
from tests.portal.browser import Stage, downloaded

from jitgate.core.roles import INITIATE


def test_secrets_are_shown_once_and_work(stage: Stage) -> None:
    page = stage.open("/settings")
    page.get_by_label("What it is for").fill("deploy")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("heading", name="Your new token").wait_for()
    token = page.locator(".once code").inner_text()
    stage.check(page)
    with stage.server.client(token) as client:
        assert client.get("/api/v1/whoami").json()["name"] == "owner"
    page.goto("/settings")
    assert token not in page.content()
    page.get_by_role("row").filter(has_text="deploy").get_by_role("button", name="Revoke").click()
    page.get_by_role("row").filter(has_text="deploy").get_by_text("Revoked").wait_for()
    with stage.server.client(token) as client:
        assert client.get("/api/v1/whoami").status_code == 401
    page.goto("/hosts")
    page.get_by_role("button", name="Make the command").click()
    line = page.locator(".once code").inner_text()
    assert re.fullmatch(rf"jitgate-agent join {stage.server.base_url} --token \S+ --ca-pin \S+", line)
    stage.check(page)


def test_a_person_gets_a_sign_in_link_that_is_shown_once(stage: Stage) -> None:
    page = stage.open("/settings/people")
    page.get_by_label("Name", exact=True).fill("newcomer")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Sign-in link for newcomer").click()
    page.get_by_role("heading", name="A sign-in link for newcomer").wait_for()
    link = page.locator(".once code").first.inner_text()
    assert re.fullmatch(rf"{stage.server.base_url}/sign-in#jg_\S+", link)
    stage.check(page)
    page.goto("/settings/people")
    assert link not in page.content()


def test_people_and_programs_are_added_disabled_and_enabled_and_refusals_are_said_there(stage: Stage) -> None:
    page = stage.open("/settings/people")
    page.get_by_label("Name", exact=True).fill("someone")
    page.get_by_role("button", name="Add", exact=True).click()
    page.locator("#problem-add").get_by_text("someone").wait_for()
    page.get_by_label("Name", exact=True).fill("backup job")
    page.get_by_label("Kind").select_option("A program")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("backup job is added, and may do nothing yet: give a role.").wait_for()
    row = page.get_by_role("row").filter(has_text="backup job")
    row.get_by_text("Program").wait_for()
    expect(row.get_by_role("button", name="Sign-in link")).to_have_count(0)
    row.get_by_role("button", name="Disable").click()
    row.get_by_text("Disabled").wait_for()
    row.get_by_role("button", name="Enable").click()
    row.get_by_text("Enabled").wait_for()
    expect(page.get_by_role("row").filter(has_text="owner").get_by_role("button")).to_have_count(0)


def test_a_group_is_made_filled_emptied_and_removed(stage: Stage) -> None:
    page = stage.open("/settings/people")
    page.get_by_label("New group").fill("night")
    page.get_by_role("button", name="Make it").click()
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="night"))
    card.get_by_text("Nobody is in it.").wait_for()
    card.get_by_text("Put in", exact=True).first.click()
    card.get_by_label("Who").fill("nobody there")
    card.get_by_role("button", name="Put in").click()
    card.get_by_role("alert").get_by_text("nobody there").wait_for()
    card.get_by_label("Who").fill("bob")
    card.get_by_role("button", name="Put in").click()
    card.get_by_role("button", name="Take out").click()
    card.get_by_text("Nobody is in it.").wait_for()
    stage.check(page)
    card.get_by_role("button", name="Remove group").click()
    expect(card).to_have_count(0)


def test_a_connector_is_set_tested_and_removed_and_what_is_wrong_is_shown_with_what_was_typed(stage: Stage) -> None:
    page = stage.open("/settings/connectors")
    page.get_by_label("Name", exact=True).fill("cloud-2")
    page.get_by_role("textbox", name="Its settings").fill("this is no line")
    page.get_by_role("button", name="Set it").click()
    page.get_by_text("Allowed: lines such as").wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "cloud-2"
    page.get_by_role("textbox", name="Its settings").fill("")
    page.get_by_label("Subscription").fill("22222222-2222-2222-2222-222222222222")
    page.get_by_role("button", name="Set it").click()
    page.get_by_role("status").get_by_text("cloud-2 is set.").wait_for()
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="cloud-2"))
    card.get_by_role("button", name="Test").click()
    card.get_by_text("Under way").wait_for()
    card.get_by_role("button", name="Remove cloud-2").click()
    dialog = page.get_by_role("dialog", name="Remove cloud-2?")
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_be_hidden()
    card.get_by_role("button", name="Remove cloud-2").click()
    dialog.get_by_role("button", name="Remove", exact=True).click()
    card.get_by_text("Being removed").wait_for()


def test_a_machine_a_person_and_a_group_are_frozen_and_thawed_where_they_are_seen(stage: Stage) -> None:
    with stage.server.client() as owner:
        assert owner.post(f"/api/v1/freezes/{stage.scenery.freeze}/thaw", json={"why": "test"}).is_success
    page = stage.open("/machines/web-1")
    _freeze(page.locator("aside"), "Freeze this machine")
    page.get_by_text("Frozen at").wait_for()
    page.get_by_text("revoked").or_(page.get_by_text("closed by somebody else")).first.wait_for()
    stage.check(page)
    _freeze(page.locator("aside"), "Freeze this machine")
    page.locator("aside").get_by_role("alert").get_by_text("It is frozen already").wait_for()
    _thaw(page.locator("#frozen"))
    page.get_by_text("Frozen at").wait_for(state="detached")
    page.goto(f"/machines?group={stage.scenery.group}")
    _freeze(page.get_by_role("main"), "Freeze this group")
    page.get_by_text(f"Frozen at {stage.scenery.group}").wait_for()
    stage.check(page)
    _thaw(page.locator("#frozen"))
    page.get_by_text("Frozen at").wait_for(state="detached")
    page.goto("/settings/people")
    row = page.get_by_role("row").filter(has_text="requester")
    _freeze(row, "Freeze")
    row.get_by_text("Frozen", exact=True).wait_for()
    _thaw(row)
    row.get_by_text("Frozen", exact=True).wait_for(state="detached")
    assert "Freeze" not in stage.context("reader").request.get("/machines/web-1").text()


def _freeze(part: Locator, label: str) -> None:
    part.get_by_text(label, exact=True).first.click()
    part.get_by_label("Why", exact=True).fill("breach")
    part.get_by_role("button", name=label, exact=True).click()


def _thaw(part: Locator) -> None:
    part.get_by_text("Thaw", exact=True).first.click()
    part.get_by_label("Why it may end").fill("over")
    part.get_by_role("button", name="Thaw", exact=True).click()


def test_hosts_are_let_in_confirmed_and_removed(stage: Stage) -> None:
    page = stage.open("/hosts")
    page.get_by_role("button", name="Let it in").click()
    page.get_by_role("heading", name="Wait to be let in").wait_for(state="detached")
    page.get_by_role("button", name="That is right").click()
    page.get_by_text("says that it is at").wait_for(state="detached")
    page.get_by_role("button", name="Remove host-1").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="host-1")).to_have_count(0)


def test_what_is_frozen_is_loud_until_it_is_thawed(stage: Stage) -> None:
    page, other = stage.open("/settings/freezes"), stage.open("/", as_="requester")
    other.get_by_role("timer").wait_for()
    page.get_by_label("What").select_option("Everything")
    page.get_by_label("Why", exact=True).fill("breach")
    page.get_by_role("button", name="Freeze").click()
    page.get_by_text("“breach”").wait_for()
    other.get_by_text("Nothing is open for you").wait_for()
    for path in ("/", "/request?machine=web-1", "/machines/web-1"):
        other.goto(path)
        other.get_by_text("Everything is frozen").wait_for()
    page.goto("/settings/roles")
    page.get_by_text("Everything is frozen").wait_for()
    page.get_by_role("link", name="Look, or thaw").click()
    card = page.get_by_role("listitem").filter(has_text="breach")
    card.get_by_text("Thaw").first.click()
    card.get_by_label("Why it may end").fill("over")
    card.get_by_role("button", name="Thaw").click()
    page.get_by_text("“breach”").wait_for(state="detached")
    other.get_by_text("Everything is frozen").wait_for(state="detached")


def test_roles_are_given_and_taken_and_refusals_are_said_there(stage: Stage) -> None:
    page = stage.open("/settings/roles")
    page.get_by_label("Role", exact=True).select_option("Auditor")
    page.get_by_label("To whom").fill("nobody there")
    page.get_by_role("button", name="Give").click()
    page.get_by_role("alert").get_by_text("nobody there").wait_for()
    page.get_by_label("To whom").fill("someone")
    page.get_by_role("button", name="Give").click()
    row = page.get_by_role("row").filter(has_text="Auditor")
    row.get_by_role("button", name="Take away").click()
    expect(row).to_have_count(0)
    page.goto("/settings/networks")
    page.get_by_label("Name", exact=True).fill("lab")
    page.get_by_label("Prefixes").fill("192.0.2.0/24, 2001:db8:7::/48")
    page.get_by_role("button", name="Name it").click()
    page.get_by_role("row").filter(has_text="2001:db8:7::/48").wait_for()


def test_a_custom_role_is_made_changed_and_removed_by_a_form(stage: Stage) -> None:
    page = stage.open("/settings/roles")
    page.get_by_role("link", name="New role").click()
    page.get_by_label("Name", exact=True).fill("On call")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("The role allows nothing.").wait_for()
    page.get_by_text("Asking and approving").click()
    page.get_by_label("Ask for access").check()
    page.get_by_label("And by patterns").fill("Microsoft.Security/*/read\nnot a pattern")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("'not a pattern' is not a pattern").wait_for()
    assert page.get_by_label("Ask for access").is_checked()
    page.get_by_label("And by patterns").fill("Microsoft.Security/*/read")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Role On call is made: give it to somebody.").wait_for()
    page.get_by_role("link", name="Edit On call").click()
    stage.check(page)
    assert page.get_by_label("And by patterns").input_value() == "Microsoft.Security/*/read"
    page.get_by_label("Name", exact=True).fill("Night shift")
    page.get_by_label("But not").fill("Microsoft.Security/pricings/*")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Role Night shift is changed.").wait_for()
    with stage.server.client() as owner:
        held = owner.get("/api/v1/roles/Night shift").json()
        assert held["actions"] == [INITIATE, "Microsoft.Security/*/read"]
        assert (held["notActions"], held["assignableScopes"]) == (["Microsoft.Security/pricings/*"], ["/"])
    card = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="Edit Night shift"))
    card.get_by_text("Remove", exact=True).click()
    card.get_by_role("button", name="Remove Night shift").click()
    expect(card).to_have_count(0)


def test_a_role_that_has_a_name_is_not_changed_by_making_another_and_not_removed_while_held(stage: Stage) -> None:
    page = stage.open("/settings/roles")
    page.get_by_role("link", name="Copy Own role").click()
    assert page.get_by_label("And by patterns").input_value() == "Microsoft.Security/*/read"
    page.get_by_label("Name", exact=True).fill("own ROLE")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("There is another role called 'own ROLE'.").wait_for()
    with stage.server.client() as owner:
        given = {"role": "Own role", "principal": "someone", "scope": "/"}
        assert owner.post("/api/v1/role-assignments", json=given).is_success
    page.goto("/settings/roles")
    card = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="Edit Own role"))
    card.get_by_text("Remove", exact=True).click()
    card.get_by_role("button", name="Remove Own role").click()
    card.get_by_text("Own role is assigned at /. Take it away there first.").wait_for()


def test_who_administers_one_group_makes_roles_for_it_and_no_more_than_they_hold(stage: Stage) -> None:
    stage.server.token_of("deputy", "Owner", stage.scenery.group)
    page = stage.open("/settings/roles", "deputy")
    page.get_by_text(f"At or below {stage.scenery.group}").wait_for()
    expect(page.get_by_role("link", name="Edit Own role")).to_have_count(0)
    page.get_by_role("link", name="New role").click()
    page.get_by_label("Name", exact=True).fill("Local")
    page.get_by_label("And by patterns").fill("*/read")
    page.get_by_label("Where it can be given").fill("/")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("roleDefinitions/write").wait_for()
    page.get_by_label("Where it can be given").fill(stage.scenery.group)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Role Local is made").wait_for()


def test_a_looser_guardrail_takes_a_second_administrator_who_sees_what_changes(stage: Stage) -> None:
    stage.server.token_of("second", "Owner")
    with stage.server.client() as owner:
        stage.scenery.propose(owner)
    page = stage.open("/settings/guardrails")
    page.get_by_text("by you: somebody else has to agree").wait_for()
    expect(page.get_by_role("button", name="Agree to exactly this")).to_have_count(0)
    other = stage.open("/settings/guardrails", as_="second")
    other.get_by_text("It is removed.").wait_for()
    other.get_by_role("button", name="Agree to exactly this").click()
    other.get_by_role("heading", name="Wait for a second administrator").wait_for(state="detached")
    page.get_by_role("heading", name="Wait for a second administrator").wait_for(state="detached")


def test_a_guardrail_is_made_tightened_and_loosened_by_a_form_that_says_what_became_of_it(stage: Stage) -> None:
    page = stage.open("/settings/guardrails")
    page.get_by_role("link", name="New guardrail").click()
    page.get_by_label("Name", exact=True).fill("night")
    page.get_by_label("Only with these tags").fill("env")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("Allowed: name=value").wait_for()
    page.get_by_label("Only with these tags").fill("env=prod")
    page.get_by_label("Or in steps").fill("1:owner\n2:group:ops,user:bob")
    page.get_by_label("At most for").fill("90m")
    page.get_by_label("Only in these hours").fill("Mon-Fri 09:00-17:00 Europe/Berlin")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Guardrail night is in force.").wait_for()
    page.get_by_role("link", name="Edit night").click()
    page.get_by_label("A reason is required").check()
    page.get_by_label("At most for").fill("3h")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("it waits for a second administrator").wait_for()
    card = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="Edit night"))
    card.get_by_text("at most 1 h 30 min").wait_for()
    card.get_by_text("Remove", exact=True).click()
    card.get_by_role("button", name="Propose to remove night").click()
    page.get_by_role("listitem").filter(has_text="night").get_by_text("It is removed.").wait_for()
    with stage.server.client() as owner:
        held = owner.get("/api/v1/guardrails/night").json()
        assert held["selector"] == {"scope": "/", "tags": {"env": "prod"}, "ports": []}
        assert [each["approvers"] for each in held["limits"]["steps"]] == [["owner"], ["group:ops", "user:bob"]]
        assert held["limits"]["maxDuration"] == "PT1H30M"


def test_who_writes_guardrails_in_one_group_and_reads_none_at_the_top_makes_them_there(stage: Stage) -> None:
    group = f"{stage.scenery.subscription}/resourceGroups/other"
    stage.server.token_of("deputy", "Security Admin", group)
    page = stage.open("/settings/guardrails", "deputy")
    page.get_by_text("No guardrail that you may see").wait_for()
    page.get_by_role("link", name="New guardrail").first.click()
    assert page.get_by_label("Everything at or below").input_value() == group
    page.get_by_label("Name", exact=True).fill("rail")
    page.get_by_label("At most for").fill("90m")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("guardrails/write").wait_for()
    page.get_by_label("Name", exact=True).fill("local")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Guardrail local is in force.").wait_for()
    page.get_by_role("link", name="Edit local").click()
    page.get_by_label("At most for").fill("1h")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("at most 1 h").wait_for()
    expect(page.get_by_role("heading", name="agree")).to_have_count(0)


def test_nobody_is_shown_what_they_may_not_read(stage: Stage) -> None:
    context = stage.context("requester")
    for path in ("roles", "guardrails", "networks", "notifications"):
        assert context.request.get(f"/settings/{path}").status == 403, path
    for path in ("/settings/people", "/settings/connectors", "/settings", "/hosts"):
        text = context.request.get(path).text()
        for secret in ("someone", "cloud-1", "host-1", "office", "freeze is in force"):
            assert secret not in text, (path, secret)
    assert context.request.get("/insights").status == 403


def test_figures_have_a_chart_and_the_table_behind_it(stage: Stage) -> None:
    page = stage.open("/insights")
    page.locator("canvas").first.wait_for()
    page.get_by_text("As a table").first.click()
    expect(page.locator("[data-chart=bars] tbody tr").last.locator("[data-value]").first).to_have_text("3")
    stage.check(page)
    assert "single addresses" in downloaded(page, "CSV of wide-policies").body.decode()
    plain = stage.open("/insights", java_script_enabled=False)
    plain.get_by_text("As a table").first.click()
    expect(plain.locator("[data-chart] table").first).to_be_visible()
