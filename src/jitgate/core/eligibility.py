"""Whether who has asked could still ask: looked at when a start or an approval comes, and whenever a right goes."""

from collections.abc import Iterable

from jitgate.core.access import Grant
from jitgate.core.machine import Machine
from jitgate.core.policy import Policy
from jitgate.core.roles import AZURE_READS, INITIATE, Principal


def lacking(principal: Principal, policy_id: str, machine: Machine) -> tuple[str, str] | None:
    """The first action, and where, that somebody lacks to ask for a machine under a policy; None: nothing.

    The right to ask counts at the policy, or at the machine itself; in Azure the reads count too that Azure demands.
    """
    if not may_initiate(principal, policy_id, machine.id):
        return INITIATE, policy_id
    if machine.provider != "azure":
        return None
    return next(((action, machine.id) for action in AZURE_READS if not principal.may(action, machine.id)), None)


def may_initiate(principal: Principal, policy_id: str, machine_id: str) -> bool:
    """Whether somebody may ask, by a role at the policy or above it, or at the machine."""
    return principal.may(INITIATE, policy_id) or principal.may(INITIATE, machine_id)


def why_not(grant: Grant, principal: Principal | None, machine: Machine | None, policies: Iterable[Policy]) -> str:
    """Why a grant's principal could not ask for it any more; "" if they could.

    `policies`: those that cover the machine.
    """
    if principal is None:
        return "who asked for it is disabled or gone"
    if machine is None:
        return "the machine is gone"
    holding = [policy for policy in policies if _has(policy, machine, grant)]
    if not holding:
        return "no policy has this port any more"
    lacks = [lacking(principal, policy.id.text, machine) for policy in holding]
    if None in lacks:
        return ""
    action, resource = next(found for found in lacks if found)
    return f"{principal.name} lacks the right {action} at {resource}"


def _has(policy: Policy, machine: Machine, grant: Grant) -> bool:
    part = policy.machine(machine.key)
    return part is not None and bool(part.rules(grant.port, grant.protocol))
