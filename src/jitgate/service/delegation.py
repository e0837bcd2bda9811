"""What everybody is held to who gives or takes rights, in whichever way."""

from jitgate.core import roles
from jitgate.core.delegation import first_beyond
from jitgate.core.errors import Conflict, Forbidden
from jitgate.core.roles import Role
from jitgate.service.attempt import require
from jitgate.service.base import Asker
from jitgate.store import groups
from jitgate.store import roles as role_rows
from jitgate.store.database import Tx


def require_no_more(asker: Asker, role: Role, scope: str) -> None:
    """Raise Forbidden where a role holds more than the asker does at a scope."""
    beyond = first_beyond(asker.principal, role, scope)
    if beyond:
        raise Forbidden(
            f"{role.name} gives {beyond} at {scope}, which {asker.principal.name} does not hold there. "
            "Nobody can give more than they hold: ask an Owner of that scope."
        )


def require_rights_of(tx: Tx, asker: Asker, holder: str) -> None:
    """Raise Forbidden unless the asker could give all that a principal or group holds (by uid), groups included.

    For whatever hands rights on: putting somebody into a group, letting somebody in again, making a credential
    for somebody else.
    """
    for face in [holder, *(group.uid for group in groups.of(tx, holder))]:
        for given in role_rows.of_holder(tx, face):
            role = role_rows.get(tx, given.role)
            if role is not None:
                require(asker, roles.WRITE_ASSIGNMENT, given.scope)
                require_no_more(asker, role, given.scope)


def keep_somebody(tx: Tx) -> None:
    """Raise Conflict if nobody were left who can give roles everywhere. Call it after the change, which it undoes."""
    if not role_rows.somebody_can_assign(tx):
        raise Conflict(
            "Then nobody could give rights any more. First give Owner at / to somebody else, by name or through a "
            "group that is kept here.",
            code="LastAdministrator",
        )
