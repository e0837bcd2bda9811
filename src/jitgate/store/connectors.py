"""Connectors, as administrators added them, and how they fare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Row, bindparam, delete, exists, func, insert, or_, select, update

from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import connector, duty, grants, machine, scope_state


@dataclass(frozen=True, slots=True)
class Connector:
    """One cloud account.

    `settings`       what its kind needs; no secrets
    `revision`       rises with each change that an administrator makes
    `removed_at`     when somebody removed it; it is let go of once its firewalls are
    `discovered_at`  when its machines were last listed; `failed_at`, `error`: that failed since, and why
    `test_asked_at`, `tested_at`  a test is asked for, and was made; `missing`: the permissions that it found wanting;
                     `test_error`: why it could not be made
    """

    name: str
    kind: str
    subscription: str
    resource_group: str
    settings: Mapping[str, Any]
    revision: int
    created_at: datetime
    removed_at: datetime | None = None
    discovered_at: datetime | None = None
    failed_at: datetime | None = None
    error: str = ""
    test_asked_at: datetime | None = None
    tested_at: datetime | None = None
    missing: Sequence[str] = ()
    test_error: str = ""

    @property
    def awaits_test(self) -> bool:
        """Whether a test was asked for and not made yet."""
        asked, made = self.test_asked_at, self.tested_at
        return asked is not None and (made is None or made < asked)


def duty_of(name: str) -> str:
    """The duty (`jitgate.store.duty`) of the process that looks after a connector for all."""
    return f"connector {name}"


def list_all(tx: Tx) -> list[Connector]:
    """All, by name; also those that are being removed."""
    return [_connector(row) for row in tx.fetch(_list, {})]


def get(tx: Tx, name: str) -> Connector | None:
    """One, by its name."""
    row = tx.execute(_get, {"b_name": name}).first()
    return _connector(row) if row else None


def add(tx: Tx, new: Connector) -> None:
    """Add one. Its name must be free."""
    values = {field: getattr(new, field) for field in Connector.__slots__}
    tx.execute(insert(connector), values | {"settings": dict(new.settings), "missing": list(new.missing)})
    tx.execute(insert(duty), {"name": duty_of(new.name)})


def change(tx: Tx, name: str, settings: Mapping[str, Any]) -> None:
    """Give one other settings."""
    values = {"settings": dict(settings), "revision": connector.c.revision + 1}
    tx.execute(update(connector).where(connector.c.name == name).values(values))


def begin_removal(tx: Tx, name: str) -> None:
    """Mark one as removed: its firewalls are let go of first."""
    _set(tx, name, removed_at=tx.now)


def ask_for_test(tx: Tx, name: str) -> None:
    """Have one tested."""
    _set(tx, name, test_asked_at=tx.now)


def record_test(tx: Tx, name: str, missing: Sequence[str], error: str) -> None:
    """What a test has found."""
    _set(tx, name, tested_at=tx.now, missing=list(missing), test_error=error)


def record_discovery(tx: Tx, name: str) -> None:
    """The machines were listed just now."""
    _set(tx, name, discovered_at=tx.now, failed_at=None, error="")


def record_failure(tx: Tx, name: str, error: str) -> None:
    """The machines could not be listed. The first failure's time is kept."""
    known = get(tx, name)
    _set(tx, name, failed_at=known.failed_at if known and known.failed_at else tx.now, error=error)


def is_let_go(tx: Tx, name: str) -> bool:
    """Whether every firewall of a removed connector was seen to hold nothing of ours, since it was removed."""
    return not tx.execute(_held, {"b_name": name}).scalar()


def forget(tx: Tx, name: str) -> None:
    """Leave nothing of a connector but what is on record."""
    tx.execute(_forget_scopes, {"b_name": name})
    tx.execute(_forget_duty, {"b_duty": duty_of(name)})
    tx.execute(_forget, {"b_name": name})


def machines_of(tx: Tx) -> dict[str, int]:
    """How many machines each connector has."""
    return {row.connector: row.machines for row in tx.execute(_machines)}


def _set(tx: Tx, name: str, **values: Any) -> None:
    tx.execute(update(connector).where(connector.c.name == name).values(values))


def _connector(row: Row[Any]) -> Connector:
    values = {field: getattr(row, field) for field in Connector.__slots__}
    return Connector(**(values | {"missing": tuple(row.missing)}))


_name: BindParameter[str] = bindparam("b_name")
_list = Prepared(select(connector).order_by(connector.c.name))
_get = select(connector).where(connector.c.name == _name)
_not_over = exists().where(grants.c.scope == scope_state.c.scope, grants.c.state != "closed")
_held = select(
    exists().where(
        scope_state.c.connector == _name,
        connector.c.name == _name,
        or_(
            scope_state.c.reported_at.is_(None),
            scope_state.c.reported_at < connector.c.removed_at,
            scope_state.c.error != "",
            _not_over,
        ),
    )
)
_forget = delete(connector).where(connector.c.name == _name)
_forget_scopes = delete(scope_state).where(scope_state.c.connector == _name)
_forget_duty = delete(duty).where(duty.c.name == bindparam("b_duty"))
_machines = (
    select(machine.c.connector, func.count().label("machines"))
    .where(machine.c.removed_at.is_(None))
    .group_by(machine.c.connector)
)
