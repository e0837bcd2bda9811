"""The command line signs in as the person at a browser: by a code over loopback, by a device code, or by a token."""

import base64
import hashlib
import re
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from tests.cli.conftest import MAIN, finish
from tests.portal.conftest import Browser, Place

from jitgate.audit import Operation
from jitgate.service.logins import CODE_LIFE, DEVICE_LIFE, INTERVAL, MOST_BEGUN

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
HERE = "http://127.0.0.1:49152/"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def asked(**other: str) -> Mapping[str, str]:
    return {"redirect_uri": HERE, "state": "s" * 20, "code_challenge": CHALLENGE, **other}


def code_of(browser: Browser, answer: str = "allow", **other: str) -> Mapping[str, str]:
    """What the browser takes to the command line after somebody has answered."""
    said = browser.post("/authorize", answer=answer, **asked(**other))
    assert said.status_code == 303, said.text
    found = urlsplit(said.headers["Location"])
    assert f"{found.scheme}://{found.netloc}/" == HERE
    return {name: values[0] for name, values in parse_qs(found.query).items()}


def redeem(place: Place, code: str, verifier: str = VERIFIER, redirect: str = HERE) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": redirect}
    return place.browser().client.post("/login/token", data=form)


def name_of(place: Place, token: str) -> str:
    with place.server.client(token) as client:
        return str(client.get("/api/v1/whoami").json().get("name", ""))


# --- by a code ------------------------------------------------------------------------------------------


def test_a_code_is_good_once_for_who_began(place: Place) -> None:
    browser = place.signed_in()
    answer = code_of(browser)
    assert answer["state"] == "s" * 20
    given = redeem(place, answer["code"]).json()
    assert name_of(place, given["access_token"]) == "owner"
    assert given["expires_in"] == 12 * 3600
    assert redeem(place, answer["code"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("wrong", [{"verifier": "w" * 64}, {"redirect": "http://127.0.0.1:49153/"}, {"verifier": ""}])
def test_a_stolen_code_is_worth_nothing_and_has_one_try(place: Place, wrong: dict[str, str]) -> None:
    code = code_of(place.signed_in())["code"]
    assert redeem(place, code, **wrong).status_code == 400
    assert redeem(place, code).status_code == 400
    assert place.on_record(Operation.SIGN_IN_REFUSED)


def test_a_code_ends_within_a_minute(place: Place) -> None:
    code = code_of(place.signed_in())["code"]
    place.clock.advance(CODE_LIFE)
    assert redeem(place, code).status_code == 400


def test_who_says_no_gives_no_code(place: Place) -> None:
    answer = code_of(place.signed_in(), "deny")
    assert answer == {"state": "s" * 20, "error": "access_denied"}


ELSEWHERE = (
    "https://attacker.example/",
    "http://attacker.example:80/",
    "http://localhost:49152/",
    "http://127.0.0.1:49152@attacker.example/",
    "http://127.0.0.1:49152/path",
    "http://127.0.0.1/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:49152/?x",
    "javascript:alert(1)",
    "",
)


@pytest.mark.parametrize("redirect", ELSEWHERE)
def test_a_code_goes_to_a_port_of_this_very_machine_and_nowhere_else(place: Place, redirect: str) -> None:
    browser = place.signed_in()
    assert browser.post("/authorize", answer="allow", **asked(redirect_uri=redirect)).status_code == 400
    assert (
        browser.get(f"/authorize?redirect_uri={quote(redirect, safe='')}&state=s&code_challenge=x").status_code == 400
    )


def test_the_page_that_asks_says_as_whom_and_changes_nothing(place: Place) -> None:
    browser = place.signed_in()
    shown = browser.client.get("/authorize", params=dict(asked()))
    assert shown.status_code == 200
    assert "<b>owner</b>" in shown.text
    assert "form-action 'self' http://127.0.0.1:49152" in shown.headers["Content-Security-Policy"]
    with place.server.client() as client:
        assert len(client.get("/api/v1/tokens").json()["items"]) == 1


# --- by a device code -----------------------------------------------------------------------------------


def begin(place: Place) -> dict[str, str]:
    answer = place.browser().client.post("/login/device", data={"client": "x"})
    assert answer.status_code == 200, answer.text
    begun: dict[str, str] = answer.json()
    return begun


def poll(place: Place, begun: Mapping[str, str]) -> dict[str, str]:
    form = {"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]}
    found: dict[str, str] = place.browser().client.post("/login/token", data=form).json()
    return found


def test_a_device_waits_until_a_person_agrees_and_gets_one_token(place: Place) -> None:
    begun = begin(place)
    assert re.fullmatch("[B-Z]{4}-[B-Z]{4}", begun["user_code"])
    assert poll(place, begun)["error"] == "authorization_pending"
    assert poll(place, begun)["error"] == "slow_down"
    place.clock.advance(INTERVAL)
    said = place.signed_in().post("/device", code=begun["user_code"].lower().replace("-", " "), answer="allow")
    assert "Allowed" in said.text
    assert name_of(place, poll(place, begun)["access_token"]) == "owner"
    assert poll(place, begun)["error"] == "invalid_grant"


def test_a_device_that_is_denied_or_late_gets_nothing(place: Place) -> None:
    denied, late = begin(place), begin(place)
    browser = place.signed_in()
    browser.post("/device", code=denied["user_code"], answer="deny")
    assert poll(place, denied)["error"] == "access_denied"
    place.clock.advance(DEVICE_LIFE)
    assert "No command line waits" in browser.post("/device", code=late["user_code"], answer="allow").text
    assert poll(place, late)["error"] == "invalid_grant"


def test_what_a_device_shows_is_not_enough_to_get_its_token(place: Place) -> None:
    begun = begin(place)
    place.signed_in().post("/device", code=begun["user_code"], answer="allow")
    public = begun["device_code"].split("_")[1]
    assert poll(place, {"device_code": f"jg_{public}_{'x' * 43}"})["error"] == "invalid_grant"
    assert poll(place, begun)["access_token"]


def test_codes_are_not_guessed_for_long(place: Place) -> None:
    browser = place.signed_in()
    answers = [browser.post("/device", code=f"BBBB-{n:04}".replace("0", "B"), answer="allow").text for n in range(20)]
    assert "Too many attempts" in answers[-1]


def test_strangers_cannot_pile_up_device_codes(place: Place) -> None:
    answers = [place.browser().client.post("/login/device", data={"x": "y"}).status_code for _ in range(70)]
    assert answers.count(200) == MOST_BEGUN
    assert answers[-1] == 429
    place.clock.advance(DEVICE_LIFE)
    begin(place)


# --- the command ----------------------------------------------------------------------------------------


@pytest.fixture
def environ(place: Place, tmp_path: Path) -> dict[str, str]:
    """Of a command line that knows nothing yet; its browser writes down what it is to open."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "BROWSER": f"{browser} %s",
        "PATH": "/usr/bin:/bin",
        "JITGATE_CA": str(place.server.ca),
    }


def run(environ: Mapping[str, str], *words: str, input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MAIN, *words], env=dict(environ), input=input, capture_output=True, text=True, timeout=90)


def kept(environ: Mapping[str, str]) -> Path:
    return Path(environ["XDG_CONFIG_HOME"]) / "jitgate" / "login.json"


def test_a_token_is_kept_for_its_owner_alone_and_revoked_at_logout(place: Place, environ: dict[str, str]) -> None:
    with place.server.client() as client:
        token = client.post("/api/v1/tokens", json={"name": "laptop"}).json()["secret"]
    ran = run(environ, "login", "--url", place.server.base_url, "--token", input=f"{token}\n")
    assert ran.returncode == 0, ran.stderr
    assert stat.S_IMODE(kept(environ).stat().st_mode) == 0o600
    assert token not in ran.stdout + ran.stderr
    assert "owner at" in run(environ, "whoami").stdout
    assert run(environ, "logout").returncode == 0
    assert not kept(environ).exists()
    assert name_of(place, token) == ""


def test_a_wrong_token_is_not_kept(place: Place, environ: dict[str, str]) -> None:
    ran = run(environ, "login", "--url", place.server.base_url, "--token", input="jg_wrong\n")
    assert ran.returncode == 5
    assert not kept(environ).exists()


def test_a_kept_login_that_others_can_read_is_not_used(place: Place, environ: dict[str, str]) -> None:
    run(environ, "login", "--url", place.server.base_url, "--token", input=place.server.token)
    kept(environ).chmod(0o644)
    ran = run(environ, "whoami")
    assert ran.returncode == 5
    assert "can be read by others" in ran.stderr


def test_the_browser_brings_the_code_back(place: Place, environ: dict[str, str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*MAIN, "login", "--url", place.server.base_url], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    opened = tmp_path / "opened"
    while process.poll() is None and not (opened.exists() and "code_challenge" in opened.read_text()):
        pass
    address = urlsplit(opened.read_text())
    fields = {name: values[0] for name, values in parse_qs(address.query).items()}
    browser = place.signed_in()
    assert "<b>owner</b>" in browser.get(f"{address.path}?{address.query}").text
    said = browser.post("/authorize", answer="allow", **fields)
    with httpx.Client() as plain:
        wrong = plain.get(fields["redirect_uri"], params={"state": "another", "code": "x"})
        assert wrong.status_code == 400
        assert plain.get(said.headers["Location"]).status_code == 200
    ran = finish(process)
    assert ran.code == 0, ran.err
    assert "You are owner" in ran.out
    assert "owner at" in run(environ, "whoami").stdout


def test_a_machine_without_a_browser_shows_a_code(place: Place, environ: dict[str, str]) -> None:
    process = subprocess.Popen(
        [*MAIN, "login", "--device", "--url", place.server.base_url],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    found = re.search("type ([A-Z-]+)", process.stderr.readline())
    assert found is not None
    place.signed_in().post("/device", code=found[1], answer="allow")
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert "You are owner" in out
