"""What live grants want of a firewall, key by key."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import CTE, ColumnElement, bindparam, select

from jitgate.core.desired import AccessKey, Protocol, Want
from jitgate.core.prefixes import Prefix
from jitgate.store.prepared import Prepared, literal_in
from jitgate.store.schema import grant_key, grants
from jitgate.store.transaction import Tx

LIVE = ("opening", "open")
"""States in which a grant wants something."""


def parameters(key: AccessKey) -> dict[str, Any]:
    """A key as the columns of `grant_key`."""
    return {"machine": key.machine, "port": key.port, "protocol": str(key.protocol), "prefix": key.prefix}


def of_keys(tx: Tx, keys: Iterable[AccessKey]) -> list[Want]:
    """What all live grants want of these keys."""
    named = list(keys)
    found = tx.fetch_each(_of_keys, map(parameters, named))
    return [Want(key, row.end_at) for key, rows in zip(named, found, strict=True) for row in rows]


def keyed(*columns: ColumnElement[Any]) -> CTE:
    """The grants that name a key, to choose from by whatever else.

    By the key first: of one port there can be a hundred thousand grants, of one key a few. PostgreSQL would rather look
    through the former, unless it has counted them, and keeps to that once it has prepared it.
    """
    return (
        select(*columns)
        .join(grant_key, grant_key.c.grant == grants.c.uid)
        .where(
            grant_key.c.machine == bindparam("machine"),
            grant_key.c.port == bindparam("port"),
            grant_key.c.protocol == bindparam("protocol"),
            grant_key.c.prefix == bindparam("prefix"),
        )
        .cte("keyed")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )


_keyed = keyed(grants.c.end_at, grants.c.state)
_of_keys = Prepared(select(_keyed.c.end_at).where(literal_in(_keyed.c.state, LIVE)))


def keys_of(tx: Tx, ports: Iterable[tuple[str, int]]) -> set[AccessKey]:
    """The keys of these ports of machines, of both protocols, that grants name which are not closed."""
    named = list(ports)
    found = tx.fetch_each(_keys_of, ({"machine": machine, "port": port} for machine, port in named))
    return {
        AccessKey(machine, port, _protocols[row.protocol], Prefix(row.prefix))
        for (machine, port), rows in zip(named, found, strict=True)
        for row in rows
    }


_keys_of = Prepared(
    select(grant_key.c.protocol, grant_key.c.prefix).where(
        grant_key.c.machine == bindparam("machine"), grant_key.c.port == bindparam("port")
    )
)


def of_scope(tx: Tx, scope: str) -> list[Want]:
    """What all live grants of a scope want."""
    return [
        Want(AccessKey(machine, port, _protocols[protocol], prefix), end)
        for machine, port, protocol, prefix, end in tx.fetch(_of_scope, {"scope": scope})
    ]


# There may be a hundred thousand, and an enum's own look-up takes as long as all the rest.
_protocols = {str(protocol): protocol for protocol in Protocol}
_of_scope = Prepared(
    select(grant_key.c.machine, grant_key.c.port, grant_key.c.protocol, grant_key.c.prefix, grants.c.end_at)
    .join(grants, grants.c.uid == grant_key.c.grant)
    .where(grants.c.scope == bindparam("scope"), literal_in(grants.c.state, LIVE))
)
