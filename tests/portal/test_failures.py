"""What people see where there is nothing, and when the server fails: a page, while programs get JSON as ever."""

import re

import pytest
from tests.portal.conftest import Place

PERSON = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Accept": "text/html,*/*;q=0.8"}


def ids_of(text: str) -> list[str]:
    return re.findall(r"<code[^>]*>([0-9a-f-]{36})</code>", text)


def test_a_person_who_goes_where_no_page_is_gets_a_page_that_leads_home(place: Place) -> None:
    person, stranger = place.signed_in(), place.browser()
    for path in ("/nothing/is/here", "/api/v1/machines", "/requests/1/withdraw", "/subscriptions"):
        answer = person.get(path, **PERSON)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "There is no page here." in answer.text
        assert 'href="/"' in answer.text
        assert ids_of(answer.text) == [answer.headers["x-ms-correlation-request-id"]]
        # Which paths exist, a stranger is not told.
        assert stranger.get(path, **PERSON).headers["location"].startswith("/sign-in?next=")


def test_programs_get_json_whatever_they_accept_and_a_cookie_opens_nothing_there(place: Place) -> None:
    for browser in (place.browser(), place.signed_in()):
        for accepts in ("text/html", "*/*"):
            answer = browser.get("/api/v1/machines", Accept=accepts)
            assert (answer.status_code, list(answer.json())) == (401, ["error"])


def test_a_failure_of_the_server_is_a_page_with_the_id_that_its_log_has(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = place.signed_in()
    monkeypatch.setattr("jitgate.service.grants.list_grants", _fail)
    answer = person.get("/", **PERSON)
    assert answer.status_code == 500
    assert "Something went wrong" in answer.text
    assert ids_of(answer.text) == [answer.headers["x-ms-correlation-request-id"]]
    assert "the disk is full" not in answer.text
    assert person.get("/").json()["error"]["code"] == "InternalServerError"
    # Where what every page needs has failed, it is told all the same.
    monkeypatch.setattr("jitgate.web.portal.pages.nav.entries", _fail)
    assert person.get("/", **PERSON).json()["error"]["code"] == "InternalServerError"


def _fail(*_: object, **__: object) -> None:
    raise OSError("the disk is full")
