"""From the words of the core to the contract's JSON, as the real service writes it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jitgate.core import prefixes
from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.policy import MachinePolicy, PortRule
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import POLICY_TYPE
from jitgate.service.views import GrantView, PolicyView, RequestView

Json = dict[str, Any]

_EXPIRED = {CloseReason.EXPIRED, CloseReason.APPROVAL_TIMED_OUT}


def render_policy(view: PolicyView) -> Json:
    """A policy with its requests."""
    policy = view.policy
    return {
        "kind": policy.kind,
        "properties": {
            "virtualMachines": [_machine(machine, view.mapped_addresses) for machine in policy.machines],
            "requests": [render_request(request) for request in view.requests],
            "provisioningState": "Succeeded" if view.settled else "Updating",
            "appendMode": False,
        },
        "id": policy.id.text,
        "name": policy.id.name,
        "type": POLICY_TYPE,
        "location": policy.id.location,
    }


def render_request(view: RequestView) -> Json:
    """A request; its ports by machine, in the order in which they were asked for."""
    machines: dict[str, list[Json]] = {}
    for grant in view.grants:
        ports = machines.setdefault(grant.machine_id, [])
        port = _requested_port(grant)
        # One number that the policy holds for TCP and UDP apart is two grants, and was asked for once.
        if port not in ports:
            ports.append(port)
    request: Json = {
        "virtualMachines": [{"id": machine, "ports": ports} for machine, ports in machines.items()],
        "startTimeUtc": render_time(view.start or view.asked_at),
        "requestor": view.requestor,
    }
    if view.justification:
        request["justification"] = view.justification
    return request


def render_time(moment: datetime) -> str:
    """UTC with seven digits after the second, as .NET writes it."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}0Z"


def status(grant: Grant) -> tuple[str, str]:
    """A grant's state in the contract's two words: `status` and `statusReason`."""
    if grant.successor is not None or grant.reason is CloseReason.SUPERSEDED:
        return "Revoked", "NewerRequestInitiated"
    if grant.state.is_over:
        return "Revoked", "Expired" if grant.reason in _EXPIRED else "UserRequested"
    return "Initiated" if grant.state is State.OPEN else "Initiating", "UserRequested"


def _machine(machine: MachinePolicy, mapped_addresses: Mapping[str, str]) -> Json:
    found: Json = {"id": machine.id.text, "ports": [_port_rule(rule) for rule in machine.ports]}
    public = mapped_addresses.get(machine.id.key, machine.public_ip_address)
    if public is not None:
        found["publicIpAddress"] = public
    return found


def _port_rule(rule: PortRule) -> Json:
    return {
        "number": rule.number,
        "protocol": str(rule.protocol),
        **_sources(rule.source_texts),
        "maxRequestAccessDuration": rule.max_duration.text,
    }


def _requested_port(view: GrantView) -> Json:
    grant = view.grant
    said, reason = status(grant)
    texts = view.source_texts if view.source_texts is not None else _effective(grant.sources)
    port: Json = {
        "number": grant.port,
        **_sources(texts),
        "endTimeUtc": render_time(_end(view)),
        "status": said,
        "statusReason": reason,
    }
    if view.mapped_port is not None:
        port["mappedPort"] = view.mapped_port
    return port


def _end(view: GrantView) -> datetime:
    """When access ends; for a length that has not begun to run the latest moment at which it could."""
    grant = view.grant
    waits = grant.wait_until if grant.state is State.PENDING or grant.start is None else None
    latest = max((moment for moment in (waits, grant.start) if moment is not None), default=view.asked_at)
    return grant.end or grant.span.end_from(latest)


def _effective(sources: Sequence[Prefix]) -> str | tuple[str, ...]:
    """Sources that nobody wrote, in the contract's spelling: what was opened is always shown."""
    texts = tuple(prefixes.text(source) for source in sources)
    return texts[0] if len(texts) == 1 else texts


def _sources(texts: str | Iterable[str]) -> Mapping[str, Any]:
    if isinstance(texts, str):
        return {"allowedSourceAddressPrefix": texts}
    return {"allowedSourceAddressPrefixes": list(texts)}
