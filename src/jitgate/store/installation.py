"""What belongs to the installation as a whole."""

from sqlalchemy import bindparam, exists, insert, or_, select, update

from jitgate.core.resource_id import key, subscription_scope
from jitgate.store.database import Tx
from jitgate.store.schema import machine, meta, policy

_SUBSCRIPTION, _KEYS = "subscription", "keys"


def subscription(tx: Tx) -> str | None:
    """The GUID under which machines outside the clouds are filed; None before the first start."""
    value: str | None = tx.execute(_read, {"name": _SUBSCRIPTION}).scalar_one_or_none()
    return value


def keep_subscription(tx: Tx, guid: str) -> None:
    """Give the installation its subscription; it never gets another."""
    tx.execute(_insert, {"name": _SUBSCRIPTION, "value": guid})


def keys(tx: Tx) -> str | None:
    """What tells the keys of this installation's replicas from others; None: none has told yet."""
    value: str | None = tx.execute(_read, {"name": _KEYS}).scalar_one_or_none()
    return value


def keep_keys(tx: Tx, fingerprint: str) -> None:
    """Keep what tells them, in place of what did so before."""
    if not tx.execute(_update, {"of": _KEYS, "to": fingerprint}).rowcount:
        tx.execute(_insert, {"name": _KEYS, "value": fingerprint})


def holds_subscription(tx: Tx, guid: str) -> bool:
    """Whether any machine or policy is filed under a subscription."""
    below = subscription_scope(guid) + "/"
    # "0" follows "/", so this is every id that begins with the subscription's.
    values = {"subscription": key(guid), "first": below, "beyond": below[:-1] + "0"}
    return bool(tx.execute(_holds, values).scalar_one())


_read = select(meta.c.value).where(meta.c.name == bindparam("name"))
_insert = insert(meta)
_update = update(meta).where(meta.c.name == bindparam("of")).values(value=bindparam("to"))
_holds = select(
    or_(
        exists().where(
            machine.c.removed_at.is_(None),
            machine.c.id_key >= bindparam("first"),
            machine.c.id_key < bindparam("beyond"),
        ),
        exists().where(policy.c.subscription_key == bindparam("subscription")),
    )
)
