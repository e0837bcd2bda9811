"""After everything that signs anybody in was done, no secret stands in the database, the record or a log."""

import json
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.netns import Network
from tests.processes import Jitgate

pytestmark = pytest.mark.needs_root

# Where secrets belong: files for their owner alone.
KEPT_FOR_SECRETS = {"owner.token", "sign-in.url", "login.json"}
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def jitgate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jitgate]:
    with Network() as network, Jitgate(tmp_path_factory.mktemp("data"), {"web-1": network.host.name}) as made:
        yield made


@pytest.fixture(scope="module")
def browser(jitgate: Jitgate) -> Iterator[httpx.Client]:
    """Somebody's, not signed in yet, whose forms come from the server's own pages."""
    url = json.loads((jitgate.directory / "server.json").read_text())["url"]
    context = ssl.create_default_context(cafile=str(jitgate.directory / "ca.pem"))
    with httpx.Client(base_url=url, verify=context, headers={"Origin": url}, timeout=30) as made:
        yield made


def first_link(jitgate: Jitgate) -> str:
    return (jitgate.directory / "sign-in.url").read_text().strip().partition("#")[2]


def test_the_first_start_leaves_a_link_for_its_owner_alone(jitgate: Jitgate, browser: httpx.Client) -> None:
    file = jitgate.directory / "sign-in.url"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"open the link in {file}" in jitgate.said
    assert file.read_text().startswith(f"{browser.base_url}/sign-in#jg_".replace("//sign", "/sign"))
    assert browser.post("/sign-in/link", data={"link": first_link(jitgate)}).status_code == 303
    assert "owner" in browser.get("/").text
    assert browser.post("/sign-in/link", data={"link": first_link(jitgate)}).status_code == 401


def sign_in_in_every_way(jitgate: Jitgate, browser: httpx.Client) -> dict[str, str]:
    """What was secret about each, by what it is."""
    found = {"owner.token": (jitgate.directory / "owner.token").read_text().strip(), "link": first_link(jitgate)}
    link = jitgate.run("sign-in-link").stdout.strip().partition("#")[2]
    browser.post("/sign-in/link", data={"link": link})
    found |= {"second link": link, "session": str(browser.cookies["__Host-jitgate"])}
    found["token"] = jitgate.run("token", "create", "laptop").stdout.strip()
    jitgate.call("POST", "/api/v1/principals", {"name": "deploy", "kind": "service"})
    found["client secret"] = jitgate.run("principal", "secret", "create", "deploy").stdout.strip()
    form = {"grant_type": "client_credentials", "client_id": "deploy", "client_secret": found["client secret"]}
    found["access token"] = browser.post("/common/oauth2/v2.0/token", data=form).json()["access_token"]
    begun = browser.post("/login/device", data={"x": "y"}).json()
    browser.post("/device", data={"code": begun["user_code"], "answer": "allow"})
    form = {"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]}
    found |= {"device code": begun["device_code"]}
    found["login"] = browser.post("/login/token", data=form).json()["access_token"]
    return found


def send_in_vain(browser: httpx.Client, secrets: dict[str, str]) -> None:
    """Every secret where it does not belong, and where somebody might write it down."""
    for secret in secrets.values():
        wrong = secret[:-4] + "AAAA"
        for sent in (wrong, secret):
            browser.get(
                f"/api/v1/machines/{sent}", params={"token": sent}, headers={"Authorization": f"Bearer {wrong}"}
            )
            browser.get(f"/{sent}", headers={"Authorization": f"Basic {sent}"})
            browser.post("/sign-in/link", data={"link": wrong})
            form = {"grant_type": "client_credentials", "client_id": "deploy", "client_secret": wrong}
            browser.post("/common/oauth2/v2.0/token", data=form)


def test_no_secret_is_kept_or_written_down(jitgate: Jitgate, browser: httpx.Client) -> None:
    secrets = sign_in_in_every_way(jitgate, browser)
    assert all(len(secret) > 40 for secret in secrets.values()), secrets
    send_in_vain(browser, {name: secret for name, secret in secrets.items() if name != "session"})
    exported = jitgate.run("activity", "--jsonl").stdout
    assert "Jitgate.Access/signIn/refused" in exported
    places = {"the export": exported.encode(), "the database, as it is dumped": dump(jitgate.directory)}
    for file in jitgate.directory.rglob("*"):
        if file.is_file() and file.name not in KEPT_FOR_SECRETS:
            places[file.name] = file.read_bytes()
    assert {"jitgate.db", "log", "said"} <= set(places)
    for name, secret in secrets.items():
        # What is behind the public id; of a signed token its signature.
        hidden = secret.rpartition("." if "." in secret else "_" if secret.count("_") == 2 else "jg_")[2]
        where = [place for place, content in places.items() if hidden[-30:].encode() in content]
        assert not where, f"{name} stands in {where}"


def dump(directory: Path) -> bytes:
    import sqlite3

    connection = sqlite3.connect(directory / "jitgate.db")
    try:
        return "\n".join(connection.iterdump()).encode()
    finally:
        connection.close()
