"""Duties: what one process at a time does for all. Who is ill or gone loses it when its time is over.

By the database's clock, as leases of scopes are (`jitgate.store.lease`).
"""

from datetime import timedelta

from sqlalchemy import BigInteger, bindparam, or_, select, update

from jitgate.store.database import Tx
from jitgate.store.schema import MICROSECOND, duty
from jitgate.store.time import DatabaseClock

SEALER = "sealer"


def take(tx: Tx, name: str, owner: str, length: timedelta) -> bool:
    """Have a duty for some time from now. False: somebody else has it."""
    return tx.execute(_take, {"b_name": name, "b_owner": owner, "microseconds": length // MICROSECOND}).rowcount == 1


def has(tx: Tx, name: str, owner: str) -> bool:
    """Whether an owner has a duty, or may take it: nobody has it just now."""
    return tx.execute(_has, {"b_name": name, "b_owner": owner}).first() is not None


def give_up_all(tx: Tx, owner: str) -> None:
    """Leave all duties of an owner to whoever comes first."""
    tx.execute(_give_up_all, {"b_owner": owner})


_give_up_all = update(duty).where(duty.c.owner == bindparam("b_owner")).values(owner=None, until=None)
_free = or_(duty.c.owner.is_(None), duty.c.owner == bindparam("b_owner"), duty.c.until <= DatabaseClock())
_take = (
    update(duty)
    .where(duty.c.name == bindparam("b_name"), _free)
    .values(owner=bindparam("b_owner"), until=DatabaseClock() + bindparam("microseconds", type_=BigInteger()))
)
_has = select(duty.c.name).where(duty.c.name == bindparam("b_name"), _free)
