"""Whether a scheduled start may still open: who asked may have lost the right to since."""

from dataclasses import replace

from jitgate.core import roles
from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.progress import Move
from jitgate.store import machines, policies, principals
from jitgate.store.database import Tx


def check(tx: Tx, move: Move) -> Move:
    """The same move, or one that closes the grant instead of opening it."""
    if move.state is not State.OPENING or _may_still_ask(tx, move.grant):
        return move
    detail = "who asked for it has no right to ask for this port any more"
    return replace(move, state=State.CLOSED, reason=CloseReason.REVOKED, end=None, detail=detail)


def _may_still_ask(tx: Tx, grant: Grant) -> bool:
    """Whether the principal is enabled, and holds the right at a policy that covers the port."""
    principal = principals.load(tx, grant.principal)
    machine = machines.present(tx, [grant.machine]).get(grant.machine)
    if principal is None or machine is None:
        return False
    return any(
        part.rules(grant.port, grant.protocol) and principal.may(roles.INITIATE, policy.id.text)
        for _, policy in policies.covering(tx, [machine.key])
        for part in policy.machines
    )
