"""Role × route: what every built-in role is answered on every route, as one file to be reviewed as a diff.

A new route needs a good call in tests/web/scenery.py. `JITGATE_GOLDEN=write pytest tests/web/test_roles_by_route.py`
writes the file anew: let somebody else read what has changed.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from tests.server import Server
from tests.web.scenery import Scenery

from jitgate.core.roles import BUILT_IN
from jitgate.store.database import Store, Tx
from jitgate.web.agents import AgentLink
from jitgate.web.app import create_app
from jitgate.web.gate import is_door, is_open, is_page

GOLDEN = Path(__file__).parent / "golden" / "roles_by_route.txt"
NO_ROLE = "no role"
# What anybody may call, but only with something of their own: a link that they were sent, a token out of
# the file of those who watch over it.
ONES_OWN = {"POST /api/v1/approvals/link", "GET /metrics"}
ANSWERS = {403: "no", 404: "hidden"}
LEGEND = """\
Role × route: what each built-in role, given everywhere, is answered on a good call about what is somebody else's.
yes  done      no  403, and the same whether it is there or not      hidden  404, as if it were not there
"""
T = TypeVar("T")


class Rehearsal:
    """A store in which everything is really done, and then undone: each call finds the same."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        def undone(tx: Tx) -> None:
            raise _Done(fn(tx))

        try:
            await self._store.write(undone)
        except _Done as done:
            return cast("T", done.result)
        raise AssertionError


class _Done(Exception):
    def __init__(self, result: Any) -> None:
        self.result = result


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenery]:
    with Server(tmp_path_factory.mktemp("data"), reconciles=False) as server:
        yield Scenery(server)


def test_every_role_is_answered_on_every_route_as_the_golden_file_says(stage: Scenery) -> None:
    found = table(stage)
    if os.environ.get("JITGATE_GOLDEN") == "write":
        GOLDEN.write_text(found, "utf-8")
    assert found == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize(("role", "below"), [("", "/"), ("Owner", "/resourceGroups/neighbour")])
def test_whether_something_is_there_makes_no_difference_to_who_may_not_see_it(
    stage: Scenery, role: str, below: str
) -> None:
    """On both faces: what is answered about things that are there is answered about those that are not."""
    token = stage.server.token_of(f"outsider as {role or 'nobody'}", role, f"{stage.subscription}{below}")
    about = [(method, route) for method, route in routes(stage.server) if "{" in route]
    assert len(about) > 40
    for method, route in about:
        there = ask(stage, token, method, route)
        if there.is_success:
            continue
        for name, real, unreal in other_names(stage, method, route):
            # Who holds a role in a subscription knows of it.
            if role and name == "subscriptionId":
                continue
            not_there = ask(stage, token, method, route, **{name: unreal})
            assert there.status_code == not_there.status_code, f"{method} {route}: {not_there.text}"
            assert there.text.replace(real, unreal) == not_there.text.replace(real, unreal)


def other_names(stage: Scenery, method: str, route: str) -> Iterator[tuple[str, str, str]]:
    """What a route's path names, each with another name of the same form for which there is nothing."""
    for name, value in stage.names_for(method, route).items():
        if f"{{{name}}}" in route.replace(":path", "") and name not in {"ascLocation", "pricingName"}:
            yield name, value, value[:-1] + ("0" if value[-1] != "0" else "1")


def table(stage: Scenery) -> str:
    """The whole table: a line for each route, a column for each role."""
    tokens = {role: stage.server.token_of(f"has {role}", role) for role in BUILT_IN}
    tokens[NO_ROLE] = stage.server.token_of("has none")
    with stage.server.client() as owner:
        stage.propose(owner)
    lines = ["".join(f"{name:<17}" for name in tokens) + "route"]
    for method, route in routes(stage.server):
        cells = [answer(stage, token, method, route) for token in tokens.values()]
        assert cells[0] == "yes" or cells[0] in ANSWERS.values(), f"{method} {route}: {cells[0]}"
        lines.append("".join(f"{cell:<17}" for cell in cells) + f"{method} {route}")
    return LEGEND + "\n" + "\n".join(lines) + "\n"


def routes(server: Server) -> list[tuple[str, str]]:
    """Every route behind the gate that is called with a token. A new one is in here by itself."""
    app = create_app(server.service, trusted_proxies=(), allowed_hosts=("localhost",))
    found = {
        (method, route.path or "")
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if method != "HEAD" and not any(asks(route.path or "") for asks in (is_open, is_page, is_door))
    }
    return sorted(found - {tuple(one.split(" ", 1)) for one in ONES_OWN}, key=lambda one: (one[1].lower(), one[0]))


def answer(stage: Scenery, token: str, method: str, route: str) -> str:
    got = ask(stage, token, method, route)
    return "yes" if got.is_success else ANSWERS.get(got.status_code, f"{got.status_code} {got.text}")


def ask(stage: Scenery, token: str, method: str, route: str, **instead: str) -> httpx.Response:
    """What a good call is answered. Whatever it does is undone."""
    path = stage.path(method, route, **instead)

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=rehearsing(stage.server))
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost", headers=headers) as client:
            return await client.request(method, path, params=stage.query(route), json=stage.body(method, route))

    return stage.server.call(call())


@cache
def rehearsing(server: Server) -> FastAPI:
    """The application over a store in which nothing stays."""
    service = replace(server.service, store=cast("Store", Rehearsal(server.service.store)))
    agents = SimpleNamespace(authority=server.ca.read_text, fleet=SimpleNamespace(forget=lambda _scope, _uuid: None))
    return create_app(service, cast("AgentLink", agents), trusted_proxies=(), allowed_hosts=("localhost",))
