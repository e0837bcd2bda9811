"""Hosts elsewhere: members, those who wait to be, and the tokens that they join by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from jitgate.core.machine import SILENT_AFTER, Joins
from jitgate.core.resource_id import key
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import host, join_token


class Membership(StrEnum):
    """`waiting` for an administrator's yes, because the name is another's; `joined`; `removed`, for ever."""

    WAITING = "waiting"
    JOINED = "joined"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Host:
    """`uuid`: its machine's too; `public_key`: what it signs with; `heard_at`: when it last polled; `silent`: that this
    was too long ago is on record; `facts`: what it told last; `address`: of a gateway, where people connect to."""

    uuid: str
    name: str
    resource_group: str
    scope: str
    public_key: str
    state: Membership
    token: str
    asked_at: datetime
    asked_from: str | None = None
    joined_at: datetime | None = None
    heard_at: datetime | None = None
    silent: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    kind: Joins = Joins.HOST
    address: str = ""


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a join token allows. `credential`: its id."""

    credential: str
    resource_group: str
    uses_left: int


def add(tx: Tx, new: Host) -> None:
    """Add a host. Its key must be new, and if it is joined, its name free."""
    values = {name: getattr(new, name) for name in Host.__slots__}
    tx.execute(
        insert(host),
        values
        | {"state": str(new.state), "scope_key": key(new.scope), "facts": dict(new.facts), "kind": str(new.kind)},
    )


def get(tx: Tx, uuid: str) -> Host | None:
    """One host, whatever its state."""
    rows = tx.fetch(_get, {"uuid": uuid})
    return _host(rows[0]) if rows else None


def by_key(tx: Tx, public_key: str) -> Host | None:
    """The host that signs with a key."""
    return _first(tx, _by_key, {"public_key": public_key})


def joined(tx: Tx, scope: str) -> Host | None:
    """The member of a scope."""
    return _first(tx, _joined, {"scope_key": key(scope)})


def of_scope(tx: Tx, scope: str) -> list[Host]:
    """All that have, or want, a scope's name and were not removed, in the order in which they asked."""
    return [_host(row) for row in tx.execute(_of_scope, {"scope_key": key(scope)})]


def list_all(tx: Tx) -> list[Host]:
    """All that were not removed, by scope."""
    return [_host(row) for row in tx.execute(_list)]


def members(tx: Tx, scopes: Iterable[str]) -> dict[str, Host]:
    """Members by the scope that is theirs."""
    wanted = {key(scope) for scope in scopes}
    rows = tx.execute(_members, {"scope_keys": list(wanted)}).all() if wanted else ()
    return {row.scope: _host(row) for row in rows}


def join(tx: Tx, uuid: str) -> None:
    """Make a member of who waits."""
    tx.execute(_join, {"b_uuid": uuid, "b_at": tx.now})


def remove(tx: Tx, uuids: Sequence[str]) -> None:
    """Make members, and who waits, members no more."""
    if uuids:
        tx.execute(_remove, [{"b_uuid": uuid} for uuid in uuids])


def put_facts(tx: Tx, uuid: str, facts: Mapping[str, Any]) -> None:
    """Keep what a host told."""
    tx.execute(_put_facts, {"b_uuid": uuid, "b_facts": dict(facts)})


def put_address(tx: Tx, uuid: str, address: str) -> None:
    """Keep where people connect to who is behind a gateway."""
    tx.execute(_put_address, {"b_uuid": uuid, "b_address": address})


def heard(tx: Tx, times: Mapping[str, datetime]) -> list[Host]:
    """Keep when hosts were heard; those that had been silent until then."""
    again = [uuid for uuid in tx.execute(_silent).scalars() if uuid in times]
    silent = [_host(row) for uuid in again for row in tx.fetch(_get, {"uuid": uuid})]
    tx.run(_heard, [{"b_uuid": uuid, "b_at": at} for uuid, at in times.items()])
    return silent


def fall_silent(tx: Tx, since: datetime) -> list[Host]:
    """Mark members that were last heard before then as silent; those that were not yet."""
    found = [_host(row) for row in tx.execute(_falling_silent, {"since": since})]
    if found:
        tx.execute(_mark_silent, [{"b_uuid": each.uuid} for each in found])
    return found


def add_token(tx: Tx, new: JoinToken) -> None:
    """Keep what a credential allows to join."""
    tx.execute(insert(join_token), {name: getattr(new, name) for name in JoinToken.__slots__})


def token(tx: Tx, credential: str) -> JoinToken | None:
    """What a credential allows to join."""
    row = tx.execute(select(join_token).where(join_token.c.credential == credential)).first()
    return JoinToken(row.credential, row.resource_group, row.uses_left) if row else None


def use_token(tx: Tx, credential: str) -> bool:
    """Use a join token once. False: it is used up."""
    return tx.execute(_use, {"b_credential": credential}).rowcount == 1


def is_silent(one: Host, now: datetime) -> bool:
    """Whether it is not known what a member does now."""
    return one.heard_at is None or now - one.heard_at > SILENT_AFTER


def _first(tx: Tx, statement: Any, values: Mapping[str, Any]) -> Host | None:
    row = tx.execute(statement, values).first()
    return _host(row) if row else None


def _host(row: Row[Any]) -> Host:
    return Host(
        uuid=row.uuid,
        name=row.name,
        resource_group=row.resource_group,
        scope=row.scope,
        public_key=row.public_key,
        state=Membership(row.state),
        token=row.token,
        asked_at=row.asked_at,
        asked_from=row.asked_from,
        joined_at=row.joined_at,
        heard_at=row.heard_at,
        silent=row.silent,
        facts=row.facts,
        kind=Joins(row.kind),
        address=row.address,
    )


_is_joined = host.c.state == str(Membership.JOINED)
_is_there = host.c.state != str(Membership.REMOVED)
_by_scope = host.c.scope_key == bindparam("scope_key")
_get = Prepared(select(host).where(host.c.uuid == bindparam("uuid")))
_by_key = select(host).where(host.c.public_key == bindparam("public_key"))
_joined = select(host).where(_by_scope, _is_joined)
_of_scope = select(host).where(_by_scope, _is_there).order_by(host.c.asked_at, host.c.uuid)
_list = select(host).where(_is_there).order_by(host.c.scope_key, host.c.asked_at)
_members = select(host).where(host.c.scope_key.in_(bindparam("scope_keys", expanding=True)), _is_joined)
_this = host.c.uuid == bindparam("b_uuid")
_join = (
    update(host)
    .where(_this)
    .values(state=str(Membership.JOINED), joined_at=bindparam("b_at"), heard_at=bindparam("b_at"))
)
_remove = update(host).where(_this).values(state=str(Membership.REMOVED))
_put_facts = update(host).where(_this).values(facts=bindparam("b_facts"))
_put_address = update(host).where(_this).values(address=bindparam("b_address"))
_heard = Prepared(update(host).where(_this, _is_joined).values(heard_at=bindparam("b_at"), silent=False))
_silent = select(host.c.uuid).where(_is_joined, host.c.silent)
_falling_silent = select(host).where(_is_joined, ~host.c.silent, host.c.heard_at < bindparam("since"))
_mark_silent = update(host).where(_this).values(silent=True)
_use = (
    update(join_token)
    .where(join_token.c.credential == bindparam("b_credential"), join_token.c.uses_left > 0)
    .values(uses_left=join_token.c.uses_left - 1)
)
