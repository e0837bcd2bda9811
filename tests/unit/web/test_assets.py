"""What pages load of others: locked, and missed aloud where it was never fetched."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.portal.conftest import Browser
from tests.server import Server

from jitgate.web.portal import assets

LOCK = Path(__file__).parents[3] / "packages" / "portal" / "package-lock.json"


def test_the_lock_pins_every_package_by_hash_and_names_no_place_to_fetch_it_from() -> None:
    packages = json.loads(LOCK.read_text("utf-8"))["packages"]
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert not name or package["integrity"].startswith("sha512-")
    wanted = json.loads((LOCK.parent / "package.json").read_text("utf-8"))
    versions = {**wanted["dependencies"], **wanted["devDependencies"]}
    assert all(packages[f"node_modules/{name}"]["version"] == version for name, version in versions.items())


@pytest.fixture
def never_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setattr(assets, "_FETCHED_IN", tmp_path / "nothing")
        assets._assets.cache_clear()
        yield
    assets._assets.cache_clear()


def test_a_server_without_them_says_so_on_its_pages_and_still_shows_them(tmp_path: Path, never_fetched: None) -> None:
    with Server(tmp_path, reconciles=False) as server:
        browser = Browser(server)
        with server.client() as owner:
            browser.sign_in(owner.post("/api/v1/sign-in-links").json()["path"].partition("#")[2])
        shown = browser.get("/")
        browser.client.close()
    assert shown.status_code == 200
    assert "set up without htmx.min.js" in shown.text
    assert "Nothing is open for you" in shown.text


def test_a_file_that_is_none_of_ours_has_no_address() -> None:
    with pytest.raises(KeyError):
        assets.address("jquery.js")
