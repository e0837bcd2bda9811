"""Personal tokens and client secrets: what they prove, what they are limited to, and when they end."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.server import Server
from tests.web.api.conftest import ask

from jitgate.audit import Operation
from jitgate.clock import ManualClock
from jitgate.core import roles
from jitgate.identity.credentials import USED_EVERY
from jitgate.store import activity, principals
from jitgate.store.activity import Entry, Filter

READ_ONLY = {"actions": ["*/read"], "scope": "/"}


def make(api: httpx.Client, **wanted: Any) -> dict[str, Any]:
    answer = api.post("tokens", json={"name": "a test", "life": "P1D", **wanted})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def client_of(server: Server, secret: str) -> httpx.Client:
    made = server.client(secret)
    made.base_url = httpx.URL(f"{server.base_url}/api/v1/")
    return made


def on_record(server: Server, operation: Operation) -> list[Entry]:
    found = server.call(server.service.store.read(lambda tx: activity.newest(tx, Filter(operation=operation))))
    return list(found)


def test_a_token_proves_its_maker_until_it_is_revoked(server: Server, api: httpx.Client) -> None:
    made = make(api)
    with client_of(server, made["secret"]) as client:
        assert client.get("whoami").json()["name"] == "owner"
        assert api.delete(f"tokens/{made['id']}").status_code == 204
        assert client.get("whoami").status_code == 401
    assert api.delete(f"tokens/{made['id']}").status_code == 204, "revoking twice is revoking once"


def test_a_secret_is_shown_once_and_kept_nowhere(server: Server, api: httpx.Client) -> None:
    secret = make(api)["secret"].split("_", 2)[2]
    assert secret not in api.get("tokens").text
    assert secret not in repr(server.rows())
    assert secret.encode() not in b"".join(file.read_bytes() for file in server.directory.glob("jitgate.db*"))


def test_making_and_revoking_are_on_record_without_the_secret(server: Server, api: httpx.Client) -> None:
    made = make(api, limit=READ_ONLY)
    api.delete(f"tokens/{made['id']}")
    written, revoked = (
        on_record(server, operation)[0] for operation in (Operation.CREDENTIAL_CREATE, Operation.CREDENTIAL_REVOKE)
    )
    assert written.properties["credential"] == revoked.properties["credential"] == made["id"]
    assert written.properties["limit"] == READ_ONLY
    assert made["secret"] not in repr([written, revoked])


def test_a_limited_token_may_do_what_both_its_holder_and_its_limit_allow(server: Server, api: httpx.Client) -> None:
    with client_of(server, make(api, limit=READ_ONLY)["secret"]) as client:
        assert client.get("machines").json()["items"]
        assert client.post("requests", json=ask()).status_code == 403
        assert client.post("machines/enable", json={"machines": ["web-2"]}).status_code == 403


def test_a_token_limited_to_a_place_is_good_there_only(server: Server, api: httpx.Client) -> None:
    with client_of(server, make(api, limit={"scope": server.machine_id("web-2")})["secret"]) as client:
        assert [each["name"] for each in client.get("machines").json()["items"]] == ["web-2"]
        assert client.get("machines/web-1").status_code == 404


def test_a_limit_holds_for_ones_own_grants_too(server: Server, api: httpx.Client) -> None:
    grant = api.post("requests", json=ask(), params={"wait": 60}).json()["grants"][0]["id"]
    with client_of(server, make(api, limit=READ_ONLY)["secret"]) as client:
        assert client.get(f"grants/{grant}").status_code == 200
        assert client.post(f"grants/{grant}/close").status_code == 403
    with client_of(server, make(api, limit={"actions": [roles.INITIATE]})["secret"]) as client:
        assert client.get("grants").json()["items"] == []
        assert client.get(f"grants/{grant}").status_code == 404
    assert api.post(f"grants/{grant}/close").status_code == 200


def test_a_limit_gives_no_right(server: Server, api: httpx.Client) -> None:
    reader = server.token_of(f"reader-{uuid4().hex[:6]}", "Reader")
    with client_of(server, reader) as own:
        everything = make(own, limit={"actions": ["*"]})
    with client_of(server, everything["secret"]) as client:
        assert client.get("machines").status_code == 200
        assert client.post("machines/enable", json={"machines": ["web-2"]}).status_code == 403


def test_a_limited_token_makes_no_others_and_gives_up_nothing_but_itself(server: Server, api: httpx.Client) -> None:
    limited, other = make(api, limit={"actions": ["*"]}), make(api)
    with client_of(server, limited["secret"]) as client:
        assert client.post("tokens", json={"name": "wider", "life": "P1D"}).status_code == 403
        assert client.delete(f"tokens/{other['id']}").status_code == 204, "its holder has the right by a role"
        assert client.delete(f"tokens/{limited['id']}").status_code == 204
        assert client.get("whoami").status_code == 401


def test_somebody_elses_tokens_need_a_right_and_an_unknown_name_is_not_revealed(server: Server) -> None:
    with client_of(server, server.token_of(f"anybody-{uuid4().hex[:6]}", "Contributor")) as client:
        known, unknown = (client.get("tokens", params={"principal": name}) for name in ("owner", "nobody-at-all"))
        assert known.status_code == unknown.status_code == 403
        assert known.json() == unknown.json()
        refused = [client.delete(f"tokens/{each}") for each in (server.token.split("_")[1], "0123456789abcdef")]
        assert [answer.status_code for answer in refused] == [403, 403]
        assert refused[0].json() == refused[1].json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"life": "PT1M"}, "life"),
        ({"life": "P731D"}, "life"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"limit": {"scope": "machines"}}, "scope"),
        ({"limit": {"actions": [""]}}, "actions"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(api: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = api.post("tokens", json={"name": "a test", "life": "P1D", **body})
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, field)


def test_nobody_piles_up_tokens_without_end(server: Server) -> None:
    with client_of(server, server.token_of("collector", "Reader")) as client:
        answers = [client.post("tokens", json={"name": "one more", "life": "P1D"}).status_code for _ in range(51)]
    assert answers.count(201) == 49
    assert answers[-1] == 409


def test_client_secrets_are_for_programs_and_several_are_good_at_a_time(server: Server, api: httpx.Client) -> None:
    server.call(server.service.store.write(lambda tx: principals.add(tx, uuid4().hex, "deploy", "service")))
    ids = [api.post("principals/deploy/secrets", json={"name": f"secret {n}"}).json()["id"] for n in (1, 2)]
    listed = api.get("tokens", params={"principal": "deploy"}).json()["items"]
    assert [each["id"] for each in listed if not each["ended"]] == ids
    assert api.post("principals/owner/secrets", json={"name": "x"}).status_code == 400
    assert api.post("principals/nobody/secrets", json={"name": "x"}).status_code == 404


def test_a_client_secret_is_no_bearer_token(server: Server, api: httpx.Client) -> None:
    server.call(server.service.store.write(lambda tx: principals.add(tx, uuid4().hex, "robot", "service")))
    made = api.post("principals/robot/secrets", json={"name": "x"}).json()
    with client_of(server, made["secret"]) as client:
        assert client.get("whoami").status_code == 401


def test_when_and_from_where_a_token_was_last_used_is_known_to_the_minute(data_dir: Path) -> None:
    clock = ManualClock()
    with Server(data_dir, clock=clock, reconciles=False) as server, client_of(server, server.token) as api:
        made = make(api)

        def used() -> Any:
            listed = {each["id"]: each for each in api.get("tokens").json()["items"]}
            return listed[made["id"]]["usedTimeUtc"], listed[made["id"]]["usedFrom"]

        assert used() == (None, None)
        with client_of(server, made["secret"]) as client:
            client.get("whoami")
            first = used()
            assert first[1] == "127.0.0.1/32"
            clock.advance(timedelta(seconds=30))
            client.get("whoami")
            assert used() == first
            clock.advance(USED_EVERY)
            client.get("whoami")
            assert used() > first


def test_an_expired_token_is_refused_and_its_use_is_on_record(data_dir: Path) -> None:
    clock = ManualClock()
    with Server(data_dir, clock=clock, reconciles=False) as server, client_of(server, server.token) as api:
        made = make(api, life="PT5M")
        clock.advance(timedelta(minutes=5))
        with client_of(server, made["secret"]) as client:
            assert client.get("whoami").status_code == 401
        entry = on_record(server, Operation.SIGN_IN_REFUSED)[0]
        assert (entry.credential, entry.properties["why"]) == (made["id"], "the credential has expired")


def test_the_use_of_the_owners_token_is_an_alarm_once_the_owner_is_disabled(data_dir: Path) -> None:
    with Server(data_dir, reconciles=False) as server, client_of(server, server.token) as api:
        uid = api.get("whoami").json()["id"]
        other = make(api)["secret"]
        server.call(server.service.store.write(lambda tx: principals.disable(tx, uid)))
        assert api.get("whoami").status_code == 401
        assert [each.address for each in on_record(server, Operation.OWNER_TOKEN_USED)] == ["127.0.0.1/32"]
        with client_of(server, other) as client:
            assert client.get("whoami").status_code == 401
        assert len(on_record(server, Operation.OWNER_TOKEN_USED)) == 1, "that was another token of the owner's"
