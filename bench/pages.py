"""What the portal's pages cost the server, with a fleet behind them and on record."""

import ssl
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import httpx
from tests.server import Server

from bench import estate
from bench.figures import Aim, Row, number, percentile
from jitgate import audit
from jitgate.core.machine import Machine
from jitgate.identity.kinds import SESSION
from jitgate.service.machines import is_found
from jitgate.store import credentials, machines
from jitgate.store.database import Tx
from jitgate.store.principals import Credential
from jitgate.trust import tokens
from jitgate.web.portal.session import COOKIE

_GROUPS = 20
_AIM = Aim(100)


def measure(scratch: Path, fleet: int, times: int) -> Iterator[Row]:
    """Each page of a fleet: half of it configured, in twenty resource groups."""
    directory = scratch / "pages"
    directory.mkdir()
    with Server(directory, reconciles=False) as server:
        found = [estate.machine(server.subscription, at, _GROUPS) for at in range(fleet)]
        server.call(server.service.store.write(partial(_fill, found=found)))
        with _browser(server) as browser:
            for what, path in _pages(server.subscription, found[0].uuid, found[-1].uuid).items():
                late = percentile([_milliseconds(browser, path) for _ in range(times)], 95)
                yield Row(f"{what}, {fleet:,} machines, p95", f"{number(late)} ms", late, "ms", aim=_AIM)


def _pages(subscription: str, configured: str, bare: str) -> Mapping[str, str]:
    group = f"/subscriptions/{subscription}/resourceGroups/group-7"
    return {
        "machines configured": "/machines",
        "by last access": "/machines?sort=lastAccess",
        "not configured, by exposure": "/machines?tab=notConfigured",
        "unsupported": "/machines?tab=unsupported",
        "searched for what one has": "/machines?q=machine-00007",
        "searched for what none has": "/machines?q=nothing-is-called-so",
        "of one tag": "/machines?tag=env=prod",
        "of one group": f"/machines?group={group}",
        "one machine": f"/machines/{configured}",
        "configuration of one": f"/configure?machine={configured}",
        "configuration of fifty": "/configure?" + "&".join(f"machine=uuid-{at:05}" for at in range(50)),
        "a machine without a policy": f"/machines/{bare}",
        "pricing": "/pricing",
        "home": "/",
        "choosing machines to ask for": "/request",
        "asking for one machine": f"/request?machine={configured}",
        "approvals": "/approvals",
        "activity": "/activity",
        "insights": "/insights",
        "settings": "/settings",
        "guardrails": "/settings/guardrails",
        "whether the server lives, to compare with": "/healthz",
    }


def _fill(tx: Tx, found: list[Machine]) -> None:
    machines.put(tx, found)
    estate.configure(tx, found[: len(found) // 2])
    audit.record(tx, [is_found(each) for each in found])


def sign_in(server: Server) -> str:
    """The cookie of a session of the owner."""
    with server.client() as owner:
        uid = owner.get("/api/v1/whoami").json()["id"]
    token = tokens.make()
    kept = server.call(
        server.service.store.read(lambda tx: Credential(token.id, uid, SESSION, "", token.digest, tx.now))
    )
    server.call(server.service.store.write(lambda tx: credentials.add(tx, kept)))
    return f"{COOKIE}={token.text}"


def _browser(server: Server) -> httpx.Client:
    """Signed in as the owner."""
    trusted = ssl.create_default_context(cafile=str(server.ca))
    return httpx.Client(base_url=server.base_url, verify=trusted, timeout=60, headers={"Cookie": sign_in(server)})


def _milliseconds(browser: httpx.Client, path: str) -> float:
    """From asking to the last byte, over a connection that stands."""
    began = time.perf_counter()
    answer = browser.get(path)
    took = time.perf_counter() - began
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code}")
    return took * 1000
