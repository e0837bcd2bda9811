"""Parts that bring themselves up to date miss nothing, and take nothing from who is at work in them."""

from itertools import count

from playwright.sync_api import APIResponse, Page, Route, expect
from tests.portal.browser import Stage

HEARS = """
window.EventSource = class extends EventTarget {
  constructor() { super(); window.heard = this; }
  close() {}
};
"""
"""A connection over which nothing is told but what a test tells."""

TELL = """([topic, number]) => heard.dispatchEvent(new MessageEvent(topic, { lastEventId: String(number) }))"""
TELL_AND_SEE = """([topics, number, part]) => new Promise((seen) => {
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (detail.requestConfig.elt.id === part) setTimeout(seen, 200);
  });
  for (const topic of topics) heard.dispatchEvent(new MessageEvent(topic, { lastEventId: String(number) }));
})"""
TELL_AT_THE_SWAP = """([topic, number, part]) => document.addEventListener("htmx:afterSwap", ({ detail }) => {
  heard.dispatchEvent(new MessageEvent(topic, { lastEventId: String(number) }));
}, { once: true })"""
LATER = 1_000_000
"""A sequence that the record does not come to."""


def hearing(stage: Stage, path: str, as_: str) -> Page:
    """A page that is told what the test tells it."""
    context = stage.context(as_)
    context.add_init_script(HEARS)
    return stage.open_in(context, path)


def bring_up_to_date(page: Page, part: str, *topics: str) -> None:
    """Tell a page that something has happened, and wait until the part was fetched, and was or was not replaced."""
    page.evaluate(TELL_AND_SEE, [topics or ["access"], LATER, part])


def name_network(stage: Stage, name: str) -> None:
    with stage.server.client() as owner:
        assert owner.put(f"/api/v1/networks/{name}", json={"prefixes": ["192.0.2.0/24"]}).is_success


def test_what_happens_while_a_part_is_being_fetched_is_shown_too(stage: Stage) -> None:
    """However soon after the first, and though the first answer is slow, as on a busy server."""
    page = hearing(stage, "/activity", "owner")
    held: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    page.route("**/activity", hold)
    page.evaluate(TELL, ["record", LATER])
    page.evaluate(TELL, ["record", LATER + 1])
    while not held:
        page.wait_for_timeout(20)
    name_network(stage, "lab")
    route, old = held[0]
    route.fulfill(response=old)
    page.locator(".event").filter(has=page.get_by_text("lab", exact=True)).wait_for()


def test_what_is_told_while_a_fresh_part_is_not_yet_at_work_is_shown_too(stage: Stage) -> None:
    page = hearing(stage, "/activity", "owner")
    page.evaluate(TELL_AT_THE_SWAP, ["record", LATER + 1, "timeline"])
    turn = count(1)
    with page.expect_request(lambda _: next(turn) == 2):
        page.evaluate(TELL, ["record", LATER])


def test_what_is_told_once_is_fetched_once(stage: Stage) -> None:
    """Also where a part is about several topics, which are told one after the other."""
    page = hearing(stage, "/machines", "owner")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.headers.get("hx-trigger", "")))
    bring_up_to_date(page, "machines", "machines", "access")
    assert asked.count("machines") == 1


def test_a_button_is_not_replaced_while_it_is_pressed(stage: Stage) -> None:
    page = hearing(stage, "/", "requester")
    page.get_by_role("button", name="I'm done").hover()
    page.mouse.down()
    bring_up_to_date(page, "open")
    page.mouse.up()
    page.get_by_text("It is being shut.").wait_for()


def test_what_was_done_is_said_though_the_part_would_have_been_replaced_meanwhile(stage: Stage) -> None:
    page = hearing(stage, "/", "requester")
    held: list[Route] = []
    page.route("**/grants/*/close", lambda route: held.append(route))
    page.get_by_role("button", name="I'm done").click()
    while not held:
        page.wait_for_timeout(20)
    bring_up_to_date(page, "open")
    held[0].continue_()
    page.get_by_text("It is being shut.").wait_for()


def test_what_was_typed_and_what_was_refused_stay_while_a_part_comes_anew(stage: Stage) -> None:
    page = hearing(stage, f"/approvals/{stage.scenery.pending['id']}", "approver")
    page.get_by_label("For how long").select_option("30 minutes at most")
    page.get_by_label("Note").fill("as you like")
    page.get_by_label("Reason to deny").fill("   ")
    page.get_by_role("button", name="Deny").click()
    page.get_by_role("alert").get_by_text("A reason is needed").wait_for()
    page.evaluate("document.getElementById('decision').dataset.former = ''")
    bring_up_to_date(page, "decision")
    expect(page.locator("#decision[data-former]")).to_have_count(0)
    expect(page.get_by_role("alert").get_by_text("A reason is needed")).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("as you like")
    expect(page.get_by_label("For how long")).to_have_value("PT30M")
    page.get_by_role("button", name="Approve").click()
    page.get_by_text("shortened it from 1 h to 30 min").wait_for()
