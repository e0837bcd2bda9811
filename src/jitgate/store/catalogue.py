"""Pages of the catalogue of machines, without a look at more machines than somebody may see or a page takes.

How a machine stands, what it is found by and its last access are kept in its row (`store.classification`), so that each
tab in each order is a walk along an index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, Select, and_, bindparam, func, not_, or_, select, union_all

from jitgate.core.catalogue import Order, Sought, Standing
from jitgate.core.exposure import BADNESS
from jitgate.core.machine import Machine
from jitgate.core.resource_id import key
from jitgate.store import machines
from jitgate.store.classification import PARTS_OF_A_MACHINE, is_below, is_present, ranges
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared, literal_in
from jitgate.store.schema import EPOCH, grant_key, grants, machine, policy, policy_machine, principal

MOST_COUNTED = 10_000
"""What is counted at most; one more stands for "more than that"."""

FEW = 2000
"""So many machines are sorted when they are asked for; among more, the order's index is walked."""

Mark = tuple[Any, ...]
"""Where a page ended: the values that its last machine is sorted by."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A machine of a page, and the mark behind it."""

    machine: Machine
    mark: Mark


@dataclass(frozen=True, slots=True)
class Use:
    """How a machine stands, and when and for whom (a name) a port of it last opened."""

    standing: Standing
    accessed_at: datetime | None
    accessed_by: str


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom an open port lets in, and until when."""

    person: str
    port: int
    protocol: str
    end: datetime | None


def page(
    tx: Tx, sought: Sought, places: Sequence[str], order: Order, mark: Mark | None, most: int, *, reverse: bool = False
) -> list[Listed]:
    """Machines below some disjoint places (scope paths) in an order, behind a mark."""
    if not places:
        return []
    source, below = _source(tx, places)
    wanted = select(*source.c).where(*below, *_conditions(source, sought))
    walk = _by_exposure if order is Order.EXPOSURE else partial(_sorted, by=_ORDERS[order])
    rows = walk(tx, wanted, mark=mark, most=most, reverse=reverse)
    return [Listed(machines.from_row(row), tuple(getattr(row, name) for name in _MARKS[order])) for row in rows]


def askable(tx: Tx, text: str, places: Sequence[str], reads: Sequence[Sequence[str]], most: int) -> list[Machine]:
    """Configured machines in which a text is found, by name: those that are below some disjoint places, and those that
    a policy covers which is. Those in Azure only if they are also below the places of each of `reads`."""
    if not places:
        return []
    source, reached = _source(tx, places, and_(not_(is_below(places)), _is_covered_from(places)))
    is_shown = or_(source.c.provider != "azure", and_(*(is_below(each, source.c.id_key) for each in reads)))
    sought = _conditions(source, Sought(Standing.CONFIGURED, text=text))
    wanted = select(*source.c).where(*reached, *sought, is_shown)
    return [machines.from_row(row) for row in _sorted(tx, wanted, by=_NAMES, mark=None, most=most, reverse=False)]


def count(tx: Tx, sought: Sought, places: Sequence[str]) -> int:
    """How many machines there are of what is sought; `MOST_COUNTED` + 1 stands for more."""
    conditions = (is_present, *_conditions(machine, sought))
    found = [select(machine.c.uuid).where(each, *conditions) for each in ranges(places)]
    if not found:
        return 0
    counted = union_all(*found).limit(MOST_COUNTED + 1).subquery()
    return int(tx.execute(select(func.count()).select_from(counted)).scalar_one())


def use(tx: Tx, uuid: str) -> Use:
    """How a machine stands and was last used."""
    row = tx.fetch(_use, {"of_uuid": uuid})[0]
    return Use(Standing(row.standing), None if row.accessed_at == EPOCH else row.accessed_at, row.person_name or "")


def holders(tx: Tx, uuid: str, most: int) -> list[Holder]:
    """Whom the open ports of a machine let in; so many at most."""
    rows = tx.fetch(_holders, {"of_uuid": uuid, "most": most})
    return list(dict.fromkeys(Holder(row.name, row.port, row.protocol, row.end_at) for row in rows))


def approved_requests(tx: Tx, uuid: str, since: datetime) -> int:
    """How many requests for a machine, made since then, were granted: something opened, or still may."""
    return int(tx.fetch(_approved, {"of_uuid": uuid, "since": since})[0].found)


def connectors(tx: Tx, most: int = 100) -> list[str]:
    """The connectors that have machines, by leaps along an index."""
    found: list[str] = []
    while len(found) < most:
        rows = tx.fetch(_next_connector, {"after": found[-1] if found else ""})
        if not rows:
            break
        found.append(rows[0].connector)
    return found


def groups(tx: Tx, places: Sequence[str], most: int) -> list[str]:
    """The scope paths of resource groups with machines below some places, by leaps along the index of ids."""
    found: dict[str, str] = {}
    for place in places:
        path = key(place).rstrip("/")
        below = path if path.count("/") >= PARTS_OF_A_MACHINE else f"{path}/"
        after = below
        while len(found) < most and (rows := tx.fetch(_next_id, {"from": after})):
            if not rows[0].id_key.startswith(below):
                break
            group = "/".join(rows[0].id.split("/")[:5])
            found.setdefault(key(group), group)
            # "0" follows "/": what is in the group is before this.
            after = f"{key(group)}0"
    return list(found.values())


# --- parts of these ----------------------------------------------------------------------------------

_NAMES = [("name_key", False), ("uuid", False)]
# What each order is sorted by, and whether the greatest comes first; the last column is never the same twice.
_ORDERS = {Order.NAME: _NAMES, Order.ACCESS: [("accessed_at", True), ("uuid", True)]}
_MARKS: Mapping[Order, Sequence[str]] = {
    **{order: [name for name, _ in columns] for order, columns in _ORDERS.items()},
    Order.EXPOSURE: ["exposed", "name_key", "uuid"],
}
_WORST = max(BADNESS.values())


def _by_exposure(tx: Tx, wanted: Select[Any], *, mark: Mark | None, most: int, reverse: bool) -> list[Row[Any]]:
    """Level by level, each by name: no index falls in one column and rises in the next that a migration could check."""
    first = mark[0] if mark else (0 if reverse else _WORST)
    rows: list[Row[Any]] = []
    for level in range(first, _WORST + 1) if reverse else range(first, -1, -1):
        behind = mark[1:] if mark and level == first else None
        exposed = wanted.where(wanted.selected_columns.exposed == level)
        rows += _sorted(tx, exposed, by=_NAMES, mark=behind, most=most - len(rows), reverse=reverse)
        if len(rows) == most:
            break
    return rows


def _sorted(
    tx: Tx, wanted: Select[Any], *, by: Sequence[tuple[str, bool]], mark: Mark | None, most: int, reverse: bool
) -> Sequence[Row[Any]]:
    columns = [(wanted.selected_columns[name], falls != reverse) for name, falls in by]
    behind = wanted.where(_entered(columns, mark)) if mark else wanted
    return tx.execute(behind.order_by(*(c.desc() if falls else c.asc() for c, falls in columns)).limit(most)).all()


def _source(
    tx: Tx, places: Sequence[str], *others: ColumnElement[bool]
) -> tuple[FromClause, list[ColumnElement[bool]]]:
    """Present machines below some places: few are taken out first, to be sorted; else the order's index is walked.

    `others`: conditions for more of them, which hold for no machine that is below these places.
    """
    if "/" in places:
        return machine, [is_present]
    reached = [*ranges(places), *others]
    found = [select(machine).where(is_present, each) for each in reached]
    probe = union_all(*(each.with_only_columns(machine.c.uuid) for each in found)).limit(FEW + 1).subquery()
    if tx.execute(select(func.count()).select_from(probe)).scalar_one() > FEW:
        return machine, [is_present, or_(*reached)]
    # Each place is looked up by itself: for an OR of them the whole index would be scanned.
    return union_all(*found).cte("few").prefix_with("MATERIALIZED"), []


def _is_covered_from(places: Sequence[str]) -> ColumnElement[bool]:
    """Covered by a policy that is at or below one of some places."""
    paths = [key(place).rstrip("/") for place in places]
    found = [or_(policy.c.key == path, and_(policy.c.key >= f"{path}/", policy.c.key < f"{path}0")) for path in paths]
    covered = select(policy_machine.c.machine_key).join(policy, policy.c.uid == policy_machine.c.policy)
    return machine.c.id_key.in_(covered.where(or_(*found)))


def _conditions(source: FromClause, sought: Sought) -> list[ColumnElement[bool]]:
    wanted = {"standing": sought.standing, "connector": sought.connector, "os": sought.os}
    found: list[ColumnElement[bool]] = [source.c[name] == str(value) for name, value in wanted.items() if value]
    return found + [source.c.words.contains(text, autoescape=True) for text in _texts(sought)]


def _texts(sought: Sought) -> list[str]:
    """What has to stand in a machine's words (`core.catalogue.words`)."""
    text = " ".join(key(sought.text).split())
    return [text, *(_line(tag) for tag in sought.tags)] if text else [_line(tag) for tag in sought.tags]


def _line(tag: str) -> str:
    name, _, value = key(" ".join(tag.split())).partition("=")
    return f"\n{name}={value}\n"


def _entered(columns: Sequence[tuple[ColumnElement[Any], bool]], mark: Mark) -> ColumnElement[bool]:
    """Behind a mark. The first condition follows from the second: by it the index is entered at the mark."""
    first, falls = columns[0]
    return and_(first <= mark[0] if falls else first >= mark[0], _is_behind(columns, mark))


def _is_behind(columns: Sequence[tuple[ColumnElement[Any], bool]], mark: Mark) -> ColumnElement[bool]:
    (column, falls), *rest = columns
    beyond = column < mark[0] if falls else column > mark[0]
    return or_(beyond, and_(column == mark[0], _is_behind(rest, mark[1:]))) if rest else beyond


_use = Prepared(
    select(machine.c.uuid, machine.c.standing, machine.c.accessed_at, principal.c.name.label("person_name"))
    .outerjoin(principal, principal.c.uid == machine.c.accessed_by)
    .where(machine.c.uuid == bindparam("of_uuid"))
)
_holders = Prepared(
    select(principal.c.name, grants.c.port, grants.c.protocol, grants.c.end_at)
    .select_from(grant_key)
    .join(grants, grants.c.uid == grant_key.c.grant)
    .join(principal, principal.c.uid == grants.c.principal)
    .where(grant_key.c.machine == bindparam("of_uuid"), grants.c.state == "open")
    .limit(bindparam("most"))
)
_approved = Prepared(
    select(func.count(grants.c.request.distinct()).label("found")).where(
        grants.c.machine == bindparam("of_uuid"),
        grants.c.asked_at >= bindparam("since"),
        or_(grants.c.opened_at.is_not(None), literal_in(grants.c.state, ("scheduled", "opening", "open"))),
    )
)
_next_connector = Prepared(
    select(machine.c.connector)
    .where(machine.c.connector > bindparam("after"), is_present)
    .order_by(machine.c.connector)
    .limit(1)
)
_next_id = Prepared(
    select(machine.c.id, machine.c.id_key)
    .where(machine.c.id_key >= bindparam("from"), is_present)
    .order_by(machine.c.id_key)
    .limit(1)
)
