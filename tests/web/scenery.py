"""One of everything that a route can name, and one good call for each route, to try every role against."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
from tests.server import GROUP, Server

from jitgate.core.alteration import Alteration, digest
from jitgate.core.roles import READER
from jitgate.store import alterations, hosts
from jitgate.store.database import Tx
from jitgate.store.hosts import Host, Membership
from jitgate.trust import tokens

Json = dict[str, Any]
RULE = {"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "*", "maxRequestAccessDuration": "PT3H"}
PORT = {"number": 22, "sources": ["203.0.113.7"], "duration": "PT1H"}
VERSIONS = {"jitNetworkAccessPolicies": "2020-01-01", "pricings": "2024-01-01"}
ROLE = {"actions": ["Microsoft.Security/*/read"], "assignableScopes": ["/"]}


class Scenery:
    """What there is. Built by the first owner, and by a requester who has asked for something."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.subscription = f"/subscriptions/{server.subscription}"
        self.group = f"{self.subscription}/resourceGroups/{GROUP}"
        self.requester = server.token_of("requester", "JIT Requester")
        with server.client() as owner, server.client(self.requester) as requester:
            self._protect(owner)
            self.asked = self._ask(requester, "web-1")
            self.pending = self._ask(requester, "web-2")
            self.broken = self._ask(owner, "web-2", breakGlass=True, justification="fire")
            self._people(owner)
            self._guard(owner)
            self._hosts(owner)
            self._connect(owner)
            self._alterations(owner)

    # --- building -------------------------------------------------------------------------------------

    def _protect(self, owner: httpx.Client) -> None:
        _good(owner.put(f"{self.policy}?api-version=2020-01-01", json=self.policy_body))
        limits = {"approvals": 1}
        scope = self.server.machine_id("web-2")
        _good(owner.put("/api/v1/guardrails/agree", json={"selector": {"scope": scope}, "limits": limits}))

    def _ask(self, client: httpx.Client, machine: str, **more: Any) -> Json:
        asked = {"machines": [{"id": machine, "ports": [PORT]}], **more}
        made: Json = _good(client.post("/api/v1/requests", json=asked))
        return made

    def _people(self, owner: httpx.Client) -> None:
        for name, kind in (("someone", "user"), ("program", "service"), ("gone", "user"), ("bob", "user")):
            made = _good(owner.post("/api/v1/principals", json={"name": name, "kind": kind}))
            self.someone = made["id"] if name == "someone" else self.someone
        _good(owner.post("/api/v1/principals/gone/disable"))
        _good(owner.post("/api/v1/groups", json={"name": "ops"}))
        _good(owner.put("/api/v1/groups/ops/members/someone"))
        self.role = _good(owner.put("/api/v1/roles/Own role", json=ROLE))["id"]
        given = {"role": "Reader", "principal": "someone", "scope": "/"}
        self.assignment = _good(owner.post("/api/v1/role-assignments", json=given))["id"]
        given["scope"] = self.subscription
        self.assignment_below = _good(owner.post("/api/v1/role-assignments", json=given))["id"]
        self.freeze = _good(owner.post("/api/v1/freezes", json={"person": "someone", "why": "test"}))["id"]

    def _guard(self, owner: httpx.Client) -> None:
        """A guardrail, whose removal the first owner has proposed; and a named network."""
        _good(owner.put("/api/v1/networks/office", json={"prefixes": ["203.0.113.0/24"]}))
        _good(owner.put("/api/v1/guardrails/rail", json={"limits": {"maxDuration": "PT2H"}}))
        self.propose(owner)

    def propose(self, owner: httpx.Client) -> None:
        """Propose the removal. Who holds the right to confirm it since later confirms nothing."""
        _good(owner.delete("/api/v1/guardrails/rail"))
        self.proposal = _good(owner.get("/api/v1/guardrails"))["proposals"][0]["id"]

    def _hosts(self, owner: httpx.Client) -> None:
        """A host that has joined and has new addresses since, and one that waits."""
        for name in ("host-1", "host-2"):
            self._write(partial(_add_host, name=name, token=_id(self.requester)))
        _good(owner.post("/api/v1/hosts/host-1/approve"))
        self._write(lambda tx: hosts.put_facts(tx, "uuid-of-host-1", {"addresses": ["10.1.1.2"]}))

    def _connect(self, owner: httpx.Client) -> None:
        """A cloud that is connected."""
        _good(owner.put("/api/v1/connectors/cloud-1", json={"kind": "memory"}))

    def _alterations(self, owner: httpx.Client) -> None:
        """A rule that others made waits to be altered for web-1; and a preview."""
        rule = Alteration("rule", "rule: without tcp/22", {"name": "rule"}, ("tcp/22",), ("memory/web-1",))
        self.digest = digest([rule])

        def propose(tx: Tx) -> None:
            alterations.put(tx, "memory", "memory/web-1", rule, None)
            alterations.need(tx, "memory/web-1", "memory", rule.key)

        self._write(propose)
        self.preview = _good(owner.post("/api/v1/previews", json={"machine": "web-1"}))["id"]

    def _write(self, work: Callable[[Tx], None]) -> None:
        self.server.call(self.server.service.store.write(work))

    someone = ""

    @property
    def policy(self) -> str:
        return f"{self.group}/providers/Microsoft.Security/locations/westeurope/jitNetworkAccessPolicies/default"

    @property
    def policy_body(self) -> Json:
        machines = [{"id": self.server.machine_id(name), "ports": [RULE]} for name in ("web-1", "web-2")]
        return {"properties": {"virtualMachines": machines}}

    # --- one good call for each route -----------------------------------------------------------------

    def path(self, method: str, route: str, **instead: str) -> str:
        """A route's path with names of what is there."""
        names = {**self.names_for(method, route), **instead}
        path = route.replace(":path}", "}")
        for name, value in names.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, f"give tests/web/scenery.py a name for what {route} is about"
        return path.replace(" ", "%20")

    def names_for(self, method: str, route: str) -> Mapping[str, str]:
        """What to try a route with."""
        return {**self.names, **self.other_names.get(f"{method} {route}", {})}

    @property
    def names(self) -> Mapping[str, str]:
        return {
            "subscriptionId": self.server.subscription,
            "resourceGroupName": GROUP,
            "ascLocation": "westeurope",
            "jitNetworkAccessPolicyName": "default",
            "vmName": "web-1",
            "pricingName": "VirtualMachines",
            "scope": self.subscription.lstrip("/"),
            "roleDefinitionId": self.role,
            "roleAssignmentName": self.assignment,
            "machine": "web-1",
            "request": self.asked["id"],
            "grant": self.asked["grants"][0]["id"],
            "freeze": self.freeze,
            "preview": self.preview,
            "policy": self.policy.lstrip("/"),
            "guardrail": "rail",
            "network": "office",
            "host": "host-1",
            "connector": "cloud-1",
            "principal": "someone",
            "group": "ops",
            "role": "Own role",
            "assignment": self.assignment,
            "credential": _id(self.requester),
        }

    @property
    def other_names(self) -> Mapping[str, Mapping[str, str]]:
        """Where the usual name is not the one to try a route with."""
        below = "/{scope:path}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"
        everywhere = below.removeprefix("/{scope:path}")
        return {
            f"GET {below}": {"roleAssignmentName": self.assignment_below},
            f"DELETE {below}": {"roleAssignmentName": self.assignment_below},
            f"PUT {below}": {"roleAssignmentName": str(uuid4())},
            f"PUT {everywhere}": {"roleAssignmentName": str(uuid4())},
            "POST /api/v1/principals/{principal}/enable": {"principal": "gone"},
            "POST /api/v1/principals/{principal}/secrets": {"principal": "program"},
            "POST /api/v1/principals/{principal}/sign-in-links": {"principal": "bob"},
            "PUT /api/v1/groups/{group}/members/{principal}": {"principal": "program"},
            "POST /api/v1/requests/{request}/approve": {"request": self.pending["id"]},
            "POST /api/v1/requests/{request}/deny": {"request": self.pending["id"]},
            "POST /api/v1/requests/{request}/withdraw": {"request": self.pending["id"]},
            "POST /api/v1/hosts/{host}/approve": {"host": "host-2"},
            "POST /api/v1/requests/{request}/review": {"request": self.broken["id"]},
            "GET /approvals/{request}": {"request": self.pending["id"]},
        }

    def body(self, method: str, route: str) -> Json | None:
        """A body that the route takes; None where it takes none."""
        return self.bodies.get(f"{method} {route}", self.bodies.get(f"{method} {route.rpartition('/providers/')[2]}"))

    def query(self, route: str) -> Mapping[str, str]:
        """What a route takes in its query."""
        if route.startswith("/api/"):
            more = {"cost": {"machines": "7"}, "who-could": {"at": "2030-01-01T00:00:00Z"}}
            return more.get(route.rpartition("/")[2], {})
        if "eventtypes" in route:
            return {"api-version": "2015-04-01", "$filter": "eventTimestamp ge '2030-01-01T00:00:00Z'"}
        return {"api-version": next((version for part, version in VERSIONS.items() if part in route), "2022-04-01")}

    @property
    def bodies(self) -> Mapping[str, Json]:
        policy = "Microsoft.Security/locations/{ascLocation}/jitNetworkAccessPolicies/{jitNetworkAccessPolicyName}"
        ask = {"machines": [{"id": "web-1", "ports": [PORT]}]}
        port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "203.0.113.7"}
        permissions = [{"actions": ROLE["actions"]}]
        given = {"roleDefinitionId": READER.id, "principalId": self.someone}
        only_one = {"id": self.server.machine_id("web-1"), "ports": [RULE]}
        rules = [{"number": 22, "protocol": "TCP"}]
        return {
            f"PUT {policy}": {"properties": {"virtualMachines": [only_one]}},
            f"POST {policy}/initiate": {"virtualMachines": [{"id": self.server.machine_id("web-1"), "ports": [port]}]},
            "PUT Microsoft.Authorization/roleDefinitions/{roleDefinitionId}": {
                "properties": {"roleName": "Own role", "permissions": permissions, "assignableScopes": ["/"]}
            },
            "PUT Microsoft.Authorization/roleAssignments/{roleAssignmentName}": {
                "properties": {**given, "roleDefinitionId": self.role}
            },
            "PUT Microsoft.Security/pricings/{pricingName}": {
                "properties": {"pricingTier": "Standard", "subPlan": "P1"}
            },
            "PUT /api/v1/plan": {"plan": "p1"},
            "POST /api/v1/jit/disable": {"why": "test"},
            "POST /api/v1/jit/enable": {},
            "POST /api/v1/machines/enable": {"machines": ["win-1"]},
            "POST /api/v1/machines/disable": {"machines": ["web-1"]},
            "POST /api/v1/alterations/agree": {"machine": "web-1", "digest": self.digest},
            "POST /api/v1/previews": {"machine": "web-1"},
            "POST /api/v1/requests": ask,
            "POST /api/v1/requests/explain": ask,
            "POST /api/v1/requests/{request}/approve": {},
            "POST /api/v1/requests/{request}/deny": {},
            "POST /api/v1/requests/{request}/review": {"note": "it burned"},
            "POST /api/v1/grants/{grant}/extend": {"duration": "PT90M"},
            "POST /api/v1/grants/{grant}/shorten": {"duration": "PT30M"},
            "POST /api/v1/grants/{grant}/move": {"sources": ["203.0.113.8"]},
            "PUT /api/v1/networks/{network}": {"prefixes": ["203.0.113.0/24"]},
            "POST /api/v1/freezes": {"machine": "web-1", "why": "test"},
            "POST /api/v1/freezes/{freeze}/thaw": {"why": "test"},
            "PUT /api/v1/policies/{policy:path}": {"machines": [{"id": "web-1", "ports": rules}]},
            "PUT /api/v1/guardrails/{guardrail}": {"limits": {"maxDuration": "PT1H"}},
            "POST /api/v1/guardrails/{guardrail}/confirm": {"proposal": self.proposal},
            "POST /api/v1/hosts/tokens": {},
            "PUT /api/v1/connectors/{connector}": {"kind": "memory"},
            "POST /api/v1/principals": {"name": "newcomer"},
            "POST /api/v1/groups": {"name": "new group"},
            "PUT /api/v1/roles/{role}": ROLE,
            "POST /api/v1/role-assignments": {"role": "Own role", "principal": "someone", "scope": "/"},
            "POST /api/v1/tokens": {"name": "mine"},
            "POST /api/v1/principals/{principal}/secrets": {"name": "its"},
            "POST /api/v1/principals/{principal}/sign-in-links": {},
        }


def _add_host(tx: Tx, name: str, token: str) -> None:
    waiting = Host(
        uuid=f"uuid-of-{name}",
        name=name,
        resource_group=GROUP,
        scope=f"host/{name}",
        public_key=f"key of {name}",
        state=Membership.WAITING,
        token=token,
        asked_at=tx.now,
        facts={"addresses": ["10.1.1.1"]},
    )
    hosts.add(tx, waiting)


def _good(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer.json() if answer.content else None


def _id(token: str) -> str:
    parsed = tokens.parse(token)
    assert parsed is not None
    return parsed.id
