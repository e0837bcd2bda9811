"""People sign in: by a link that is good once, or at an OpenID Connect provider; and out again."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.portal.conftest import Place

from jitgate.audit import Operation
from jitgate.identity.people import WAY, WAY_LIFE
from jitgate.service.sessions import LINK_LIFE
from jitgate.store import credentials, principals
from jitgate.web.portal import assets

PROVIDER = "/sign-in/with/keycloak"


# --- links ----------------------------------------------------------------------------------------------


def test_a_link_signs_in_once(place: Place) -> None:
    link = place.link()
    browser = place.browser()
    answer = browser.sign_in(link)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "owner" in browser.get("/").text
    assert place.browser().sign_in(link).status_code == 401
    assert [entry.properties["by"] for entry in place.on_record(Operation.SIGN_IN)] == ["link"]


def test_looking_at_a_link_uses_nothing_up(place: Place) -> None:
    """Mail scanners and previews fetch every address that they see; what is behind # they do not even send."""
    link, browser = place.link(), place.browser()
    for path in ("/sign-in", f"/sign-in?link={link}", f"/sign-in/link?link={link}", f"/sign-in?next=/&token={link}"):
        browser.get(path)
    assert browser.cookie() is None
    assert browser.sign_in(link).status_code == 303


def test_the_page_takes_the_secret_out_of_the_address_and_runs_nothing_else(place: Place) -> None:
    answer = place.browser().get("/sign-in")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert set(re.findall(r'<script defer src="/static/(\w+)', answer.text)) >= {"link"}
    assert "history.replaceState" in place.browser().get(assets.address("link.js")).text
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not re.search(r"https?://|@import|url\(|<script(?! defer src=\"/static/)", answer.text)


def test_a_link_ends_after_minutes(place: Place) -> None:
    link = place.link()
    place.clock.advance(LINK_LIFE)
    assert place.browser().sign_in(link).status_code == 401


def test_a_link_is_no_token_and_a_token_no_link(place: Place) -> None:
    with place.server.client(place.link()) as client:
        assert client.get("/api/v1/whoami").status_code == 401
    assert place.browser().sign_in(place.server.token).status_code == 401


# --- sessions -------------------------------------------------------------------------------------------


def test_the_cookie_is_for_this_host_over_tls_out_of_reach_for_scripts(place: Place) -> None:
    browser = place.browser()
    kept = browser.sign_in(place.link()).headers["Set-Cookie"]
    assert kept.startswith("__Host-jitgate=jg_")
    assert {"path=/", "secure", "httponly", "samesite=lax"} <= {part.strip().lower() for part in kept.split(";")}
    assert "domain" not in kept.lower()


def test_cookies_count_in_the_portal_only(place: Place) -> None:
    browser = place.signed_in()
    assert browser.get("/").status_code == 200
    assert browser.get("/api/v1/whoami").status_code == 401
    session = browser.cookie()
    with place.server.client(session) as client:
        assert client.get("/api/v1/whoami").status_code == 401


def test_signing_out_ends_the_session_everywhere(place: Place) -> None:
    browser = place.signed_in()
    session = browser.cookie()
    assert browser.post("/sign-out").headers["Location"] == "/sign-in"
    assert browser.cookie() is None
    other = place.browser()
    assert other.get("/", Cookie=f"__Host-jitgate={session}").status_code == 303
    assert len(place.on_record(Operation.SIGN_OUT)) == 1
    assert place.on_record(Operation.SIGN_IN_REFUSED)[0].properties["why"] == "the credential was revoked"


def test_a_session_ends_when_it_lies_idle(place: Place) -> None:
    browser, idle = place.signed_in(), place.server.service.settings.sign_in.idle
    for _ in range(3):
        place.clock.advance(idle - timedelta(minutes=2))
        assert browser.get("/").status_code == 200
    place.clock.advance(idle)
    assert browser.get("/").status_code == 303


def test_a_session_ends_however_busy_it_is(place: Place) -> None:
    browser, settings = place.signed_in(), place.server.service.settings.sign_in
    for _ in range(int(settings.session / (settings.idle / 2)) - 1):
        place.clock.advance(settings.idle / 2)
        assert browser.get("/").status_code == 200
    place.clock.advance(settings.idle / 2)
    assert browser.get("/").status_code == 303


def test_a_disabled_persons_session_stops_at_once(place: Place) -> None:
    browser = place.signed_in()
    store = place.server.service.store
    owner = place.server.call(store.read(lambda tx: principals.find(tx, "owner")))
    assert owner is not None
    place.server.call(store.write(lambda tx: principals.disable(tx, owner.uid)))
    assert browser.get("/").status_code == 303


def test_a_form_from_elsewhere_or_from_nowhere_is_refused(place: Place) -> None:
    browser = place.signed_in()
    for origin in ("https://attacker.example", "null", place.server.base_url + ".attacker.example"):
        assert browser.post("/sign-out", origin).status_code == 403
    assert browser.client.post("/sign-out").status_code == 403
    assert browser.client.post("/sign-in/link", data={"link": place.link()}).status_code == 403
    assert browser.get("/").status_code == 200


def test_a_form_of_a_page_that_tells_nobody_where_it_is_comes_from_null_as_browsers_have_it(place: Place) -> None:
    browser = place.signed_in()
    for site in ("cross-site", "same-site", "none"):
        headers = {"Origin": "null", "Sec-Fetch-Site": site}
        assert browser.client.post("/sign-out", headers=headers).status_code == 403
    own = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert browser.client.post("/sign-out", headers=own).status_code == 303


def test_a_link_from_another_site_shows_a_page_and_a_script_there_does_not(place: Place) -> None:
    browser = place.signed_in()
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert browser.get("/", **cross, **{"Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert browser.get("/", **cross, **{"Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert browser.get("/", **cross).status_code == 403


ELSEWHERE = ("https://attacker.example", "//attacker.example", "/\\attacker.example", "/%0d%0aX: y\r\n", "x", "")


@pytest.mark.parametrize("target", ELSEWHERE)
def test_nobody_is_sent_elsewhere_after_signing_in(place: Place, target: str) -> None:
    answer = place.browser().post("/sign-in/link", link=place.link(), next=target)
    assert answer.headers["Location"] in {"/", "/%0d%0aX:"} - {"/%0d%0aX:"}


def test_one_goes_on_where_one_wanted_to_go(place: Place) -> None:
    browser = place.browser()
    asked = browser.get("/device?code=BCDF-GHJK")
    wanted = parse_qs(urlsplit(asked.headers["Location"]).query)["next"][0]
    assert wanted == "/device?code=BCDF-GHJK"
    assert browser.post("/sign-in/link", link=place.link(), next=wanted).headers["Location"] == wanted


def test_who_guesses_links_is_slowed_down(place: Place) -> None:
    browser = place.browser()
    answers = [browser.sign_in(f"jg_{'0' * 16}_{'x' * 43}").status_code for _ in range(15)]
    assert answers[0] == 401
    assert answers[-1] == 429
    assert {entry.properties["why"] for entry in place.on_record(Operation.SIGN_IN_REFUSED)} == {"no such credential"}


# --- OpenID Connect -------------------------------------------------------------------------------------


def test_a_person_signs_in_at_the_provider_and_holds_no_role_at_first(place: Place) -> None:
    place.provider.person = {"sub": "42", "preferred_username": "zoe", "groups": ["ops", "staff"]}
    browser = place.browser()
    home = browser.follow(f"{PROVIDER}?next=/")
    assert home.status_code == 200
    assert "zoe" in home.text
    assert "no role yet" in home.text
    assert browser.cookie("__Host-jitgate-way") is None
    assert [entry.properties["by"] for entry in place.on_record(Operation.SIGN_IN)] == ["keycloak"]
    again = place.browser()
    again.follow(PROVIDER)
    store = place.server.service.store
    everybody = place.server.call(store.read(principals.list_all))
    assert [each.name for each in everybody if each.name.startswith("zoe")] == ["zoe"]
    uid = next(each.uid for each in everybody if each.name == "zoe")
    held = place.server.call(store.read(lambda tx: credentials.list_of(tx, uid, ["account"])))
    assert held[0].facts["groups"] == ["ops", "staff"]


def test_whom_the_provider_puts_into_a_group_holds_its_roles_and_loses_them_with_it(place: Place) -> None:
    with place.server.client() as owner:
        assert owner.post("/api/v1/groups", json={"name": "on-call", "claimed": True}).status_code == 201
        given = {"principal": "on-call", "role": "Reader", "scope": "/"}
        assert owner.post("/api/v1/role-assignments", json=given).status_code == 201
    place.provider.person = {"sub": "43", "preferred_username": "yann", "groups": ["On-Call"]}
    assert "Reader" in place.browser().follow(f"{PROVIDER}?next=/account").text
    place.provider.person = {**place.provider.person, "groups": []}
    assert "no role yet" in place.browser().follow(PROVIDER).text


def test_the_way_there_carries_a_challenge_and_a_fresh_state(place: Place) -> None:
    states = set()
    for _ in range(2):
        away = place.browser().get(PROVIDER).headers["Location"]
        asked = {name: values[0] for name, values in parse_qs(urlsplit(away).query).items()}
        assert asked["code_challenge_method"] == "S256"
        assert asked["redirect_uri"] == f"{place.server.base_url}/sign-in/callback"
        assert asked["scope"] == "openid profile email"
        states.add((asked["state"], asked["nonce"], asked["code_challenge"]))
    assert len({part for each in states for part in each}) == 6


def answer_of(place: Place, browser_path: str = PROVIDER) -> tuple[str, str]:
    """The way that a browser began, and the address that the provider sends it back to."""
    browser = place.browser()
    away = browser.get(browser_path)
    back = browser.client.get(away.headers["Location"]).headers["Location"]
    return browser.cookie("__Host-jitgate-way") or "", back


def test_another_browser_cannot_be_made_to_sign_in_as_somebody(place: Place) -> None:
    """An attacker who begins a sign-in and has a victim's browser end it would see what the victim does."""
    _, back = answer_of(place)
    victim = place.browser()
    assert victim.get(back).status_code == 401
    own_way, _ = answer_of(place)
    assert victim.get(back, Cookie=f"__Host-jitgate-way={own_way}").status_code == 401
    assert victim.cookie() is None


def test_a_way_ends_after_minutes(place: Place) -> None:
    way, back = answer_of(place)
    place.clock.advance(WAY_LIFE)
    assert place.browser().get(back, Cookie=f"__Host-jitgate-way={way}").status_code == 401


def test_an_answer_is_good_once(place: Place) -> None:
    way, back = answer_of(place)
    assert place.browser().get(back, Cookie=f"__Host-jitgate-way={way}").status_code == 303
    assert place.browser().get(back, Cookie=f"__Host-jitgate-way={way}").status_code == 401


@pytest.mark.parametrize(
    "wrong", [{"nonce": "another"}, {"aud": "another"}, {"iss": "https://attacker.example"}, {"exp": 1}]
)
def test_an_id_token_that_does_not_hold_signs_nobody_in(place: Place, wrong: dict[str, object]) -> None:
    place.provider.id_token = wrong
    browser = place.browser()
    assert browser.follow(PROVIDER).status_code == 401
    assert browser.cookie() is None
    assert len(place.on_record(Operation.SIGN_IN_REFUSED)) == 1


def test_a_provider_that_says_no_or_does_not_answer_is_told_on_the_page(place: Place) -> None:
    way, back = answer_of(place)
    state = parse_qs(urlsplit(back).query)["state"][0]
    refused = place.browser().get(
        f"/sign-in/callback?error=access_denied&state={state}", Cookie=f"__Host-jitgate-way={way}"
    )
    assert refused.status_code == 401
    assert "did not come to its end" in refused.text


def test_a_provider_that_is_not_listed_is_none(place: Place) -> None:
    assert place.browser().get("/sign-in/with/nobody").status_code == 404


def test_a_way_is_no_access_token_and_an_access_token_no_way(place: Place) -> None:
    way, _ = answer_of(place)
    with place.server.client(way) as client:
        assert client.get("/api/v1/whoami").status_code == 401
    assert place.server.service.bearers.signer.read(WAY, way, place.clock.wall())["provider"] == "keycloak"
