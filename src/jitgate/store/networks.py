"""Named networks."""

from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select

from jitgate.core.networks import MOST_NETWORKS, Network, Networks
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import key
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import network


def list_all(tx: Tx) -> list[Network]:
    """All, by name."""
    return [_network(row) for row in tx.ask_once(_list)()]


def known(tx: Tx) -> Networks:
    """All, to tell where a source lies."""
    return Networks(list_all(tx))


def get(tx: Tx, name: str) -> Network | None:
    """A network by its name, in any case."""
    row = tx.execute(_get, {"name_key": key(name)}).first()
    return _network(row) if row else None


def put(tx: Tx, new: Network, by: str) -> None:
    """Write a network in place of what is under its name. `by`: the uid of the principal who does."""
    tx.execute(_delete, {"name_key": key(new.name)})
    values = {"name_key": key(new.name), "name": new.name, "prefixes": list(new.prefixes), "note": new.note}
    tx.execute(_insert, {**values, "updated_at": tx.now, "updated_by": by})


def remove(tx: Tx, name: str) -> bool:
    """Delete a network. False: there is none."""
    return tx.execute(_delete, {"name_key": key(name)}).rowcount == 1


def _network(row: Row[Any]) -> Network:
    return Network(row.name, tuple(map(Prefix, row.prefixes)), row.note)


_columns = (network.c.name, network.c.prefixes, network.c.note)
_list = Prepared(select(*_columns).order_by(network.c.name_key).limit(MOST_NETWORKS))
_get = select(*_columns).where(network.c.name_key == bindparam("name_key"))
_delete = delete(network).where(network.c.name_key == bindparam("name_key"))
_insert = insert(network)
