"""What Azure's clients read around the contract: only what the asker may see, under any spelling."""

from uuid import uuid4

import httpx
from tests.server import GROUP, Server

from jitgate.core.roles import OWNER, Assignment, Principal
from jitgate.service import inventory
from jitgate.service.base import Asker

VERSION = {"api-version": "2022-12-01"}


def values(client: httpx.Client, path: str) -> list[str]:
    answer = client.get(path, params=VERSION)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["value"]]


def test_who_holds_no_role_in_a_subscription_does_not_see_it(server: Server) -> None:
    at = f"/subscriptions/{server.subscription}"
    with server.client(server.token_of(f"nobody-{uuid4().hex[:6]}")) as client:
        assert values(client, "/subscriptions") == []
        one, other = (client.get(path, params=VERSION) for path in (at, f"/subscriptions/{uuid4()}"))
        assert one.status_code == other.status_code == 404
        assert client.get(f"{at}/resourceGroups", params=VERSION).status_code == 404
    with server.client(server.token_of(f"somebody-{uuid4().hex[:6]}", "Reader", server.machine_id("web-1"))) as client:
        assert values(client, "/subscriptions") == [at]


def test_machines_that_may_not_be_read_do_not_exist(server: Server) -> None:
    one = server.machine_id("web-1")
    with server.client(server.token_of(f"reader-{uuid4().hex[:6]}", "Reader", one)) as client:
        listed = f"/subscriptions/{server.subscription}/providers/Microsoft.Compute/virtualMachines"
        assert values(client, listed) == [one]
        known, unknown = (client.get(server.machine_id(name), params=VERSION) for name in ("web-2", "no-such"))
        assert known.status_code == unknown.status_code == 404
        assert known.json()["error"]["code"] == unknown.json()["error"]["code"]


def test_paths_and_ids_are_read_in_any_case(server: Server, owner: httpx.Client) -> None:
    shouted = server.machine_id("web-1").upper()
    found = owner.get(shouted, params=VERSION).json()
    assert found["id"] == server.machine_id("web-1")
    groups = f"/subscriptions/{server.subscription}/resourcegroups"
    assert values(owner, groups) == [f"/subscriptions/{server.subscription}/resourceGroups/{GROUP}"]


def test_a_version_is_needed_and_any_date_will_do(server: Server, owner: httpx.Client) -> None:
    assert owner.get("/subscriptions").json()["error"]["code"] == "MissingApiVersionParameter"
    assert owner.get("/subscriptions", params={"api-version": "latest"}).status_code == 400
    assert owner.get("/subscriptions", params={"api-version": "2016-06-01"}).status_code == 200


def test_a_long_list_goes_on_where_its_page_ends(server: Server, owner: httpx.Client) -> None:
    asker = Asker(Principal("x", "x", (Assignment(OWNER, "/"),)))
    at, found, after = f"/subscriptions/{server.subscription}", [], None
    while True:
        page = server.call(inventory.list_machines(server.service, asker, at, limit=1, after=after))
        found += [machine.name for machine in page.items]
        after = page.after
        if after is None:
            break
    assert found == ["web-1", "web-2", "win-1"]
