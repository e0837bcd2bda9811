"""Leases: one owner at a time works at a scope, and a crashed owner's lease runs out.

Lease times are the database's clock, never the owner's: replicas need not agree on the time. An SQLite
database has no server, so its clock is the store's own time (`jitgate.store.time`), which its file carries
from one process to the next. Each lease has a higher generation than the one before; enforcers refuse an
older one, so an owner that was held up past its lease does no harm.
"""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, bindparam, or_, select, update

from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import MICROSECOND, scope_state
from jitgate.store.time import DatabaseClock


def claim(tx: Tx, scope: str, owner: str, length: timedelta) -> int | None:
    """Take a scope for some time; returns the new generation. None: somebody else holds it, or there is none.

    An owner that holds the scope already gets it anew.
    """
    rows = tx.fetch(_claim, {"scope_name": scope, "owner": owner, **_length(length)})
    return rows[0].generation if rows else None


def renew(tx: Tx, scope: str, owner: str, length: timedelta) -> bool:
    """Hold a scope for some time from now. False: the lease has run out or is somebody else's; claim again."""
    return tx.execute(_renew, {"scope_name": scope, "owner": owner, **_length(length)}).rowcount == 1


def release(tx: Tx, scope: str, owner: str, due_at: datetime | None) -> None:
    """Give a scope back, and say when it is to be looked at next; nothing if it is not this owner's any more."""
    tx.run(_release, [{"scope_name": scope, "owner": owner, "due": due_at}])


def _length(length: timedelta) -> dict[str, int]:
    return {"microseconds": length // MICROSECOND}


_clock = DatabaseClock()
_until = _clock + bindparam("microseconds", type_=BigInteger())
_free = (
    select(scope_state.c.scope)
    .where(
        scope_state.c.scope == bindparam("scope_name"),
        or_(
            scope_state.c.lease_owner.is_(None),
            scope_state.c.lease_owner == bindparam("owner"),
            scope_state.c.lease_until <= _clock,
        ),
    )
    # PostgreSQL: who is a moment later goes on to another scope instead of waiting for this one.
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_claim = Prepared(
    update(scope_state)
    .where(scope_state.c.scope == _free)
    .values(lease_owner=bindparam("owner"), lease_until=_until, generation=scope_state.c.generation + 1)
    .returning(scope_state.c.generation)
)
_renew = (
    update(scope_state)
    .where(
        scope_state.c.scope == bindparam("scope_name"),
        scope_state.c.lease_owner == bindparam("owner"),
        scope_state.c.lease_until > _clock,
    )
    .values(lease_until=_until)
)
_release = Prepared(
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"), scope_state.c.lease_owner == bindparam("owner"))
    .values(lease_owner=None, lease_until=None, due_at=bindparam("due"))
)
