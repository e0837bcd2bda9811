"""JIT policies and, machine by machine, the ports they protect."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Row, bindparam, delete, func, insert, select, update

from jitgate.core import duration
from jitgate.core.desired import Protocol
from jitgate.core.machine import OperatingSystem
from jitgate.core.policy import MachinePolicy, Policy, PortRule, Selection
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import PolicyId, key, parse_machine_id, parse_policy_id
from jitgate.core.selector import Selector
from jitgate.store import classification
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import policy, policy_machine


@dataclass(frozen=True, slots=True)
class Stored:
    """A policy with what only the store knows.

    `uid`     stays while the policy is replaced; a policy made again under its name has another
    `forced`  keys of the machines to protect even if that cuts somebody off
    """

    uid: str
    policy: Policy
    forced: frozenset[str]
    created_at: datetime
    updated_at: datetime


def put(tx: Tx, uid: str, new: Policy, forced: Collection[str] = ()) -> str:
    """Write a policy in place of what is under its key; returns its uid, which is `uid` if it is new."""
    known: str | None = tx.execute(_uid, {"key": new.id.key}).scalar()
    before = _members(tx, known)
    if known is None:
        tx.execute(_insert, {**_values(tx, new), "uid": uid, "created_at": tx.now})
    else:
        tx.execute(_update, {f"b_{name}": value for name, value in _values(tx, new).items()})
        tx.execute(_delete_parts, {"uid": known})
    rows = [_part_values(known or uid, position, part, forced) for position, part in enumerate(new.machines)]
    if rows:
        tx.execute(_insert_part, rows)
    classification.classify_keys(tx, before ^ {part.id.key for part in new.machines})
    return known or uid


def get(tx: Tx, policy_key: str) -> Stored | None:
    """A policy by the key of its id."""
    found = _with_parts(tx, tx.execute(_by_key, {"key": policy_key}).all())
    return found[0] if found else None


def add_machine(tx: Tx, uid: str, part: MachinePolicy) -> None:
    """Add a machine to a policy that has it not."""
    position = tx.execute(_next_position, {"uid": uid}).scalar_one()
    tx.execute(_insert_part, [_part_values(uid, position, part, ())])
    classification.classify_keys(tx, [part.id.key])


def selecting(tx: Tx) -> list[tuple[str, Policy]]:
    """The policies that take machines in by themselves, by uid, each without its machines."""
    return [(row.uid, _policy(row, ())) for row in tx.execute(_selecting)]


def has_machine(tx: Tx, uid: str, machine_key: str) -> bool:
    """Whether a policy has a machine."""
    return bool(tx.fetch(_part_for, {"uid": uid, "key": machine_key}))


def remove(tx: Tx, policy_key: str) -> bool:
    """Delete a policy. False: there is none."""
    members = _members(tx, tx.execute(_uid, {"key": policy_key}).scalar())
    is_gone = tx.execute(_delete, {"key": policy_key}).rowcount == 1
    classification.classify_keys(tx, members)
    return is_gone


def list_page(
    tx: Tx,
    *,
    subscription: str | None = None,
    group: str | None = None,
    location: str | None = None,
    after: str = "",
    most: int = 100,
) -> list[Stored]:
    """Policies in the order of their keys, continuing after one of them.

    `subscription` is its id, `group` the key of a resource group (`core.resource_id.group_scope`).
    """
    statement = _list
    if subscription is not None:
        statement = statement.where(policy.c.subscription_key == key(subscription))
    if group is not None:
        statement = statement.where(policy.c.group_key == group)
    if location is not None:
        statement = statement.where(policy.c.location == location)
    return _with_parts(tx, tx.execute(statement, {"after": after, "most": most}).all())


def for_machines(tx: Tx, policy_key: str, machine_keys: Iterable[str]) -> tuple[str, Policy] | None:
    """The uid and those parts of a policy that are about some machines. None: there is no such policy."""
    place = tx.ask(_place, {"key": policy_key})
    parts = tx.fetch_each(_part_under, ({"policy_key": policy_key, "key": one} for one in machine_keys))
    rows = place()
    return (rows[0].uid, _policy(rows[0], [_part(row) for found in parts for row in found])) if rows else None


def covering(tx: Tx, machine_keys: Iterable[str]) -> list[tuple[str, Policy]]:
    """Every policy that covers any of some machines, by uid, with those parts that are about them."""
    found: dict[str, tuple[Row[Any], list[MachinePolicy]]] = {}
    for row in _each_covering(tx, machine_keys):
        found.setdefault(row.uid, (row, []))[1].append(_part(row))
    return [(uid, _policy(row, parts)) for uid, (row, parts) in found.items()]


def machine_policies(tx: Tx, machine_keys: Iterable[str]) -> dict[str, list[tuple[MachinePolicy, bool]]]:
    """By machine the parts of all policies about it, each with its `force`."""
    found: dict[str, list[tuple[MachinePolicy, bool]]] = {}
    for row in _each_covering(tx, machine_keys):
        found.setdefault(row.machine_key, []).append((_part(row), row.force))
    return found


def ids_covering(tx: Tx, machine_keys: Iterable[str]) -> dict[str, list[str]]:
    """By machine the ids of all policies about it."""
    found: dict[str, list[str]] = {}
    for row in _each_covering(tx, machine_keys):
        found.setdefault(row.machine_key, []).append(_id(row).text)
    return found


def force(tx: Tx, machine_keys: Iterable[str]) -> None:
    """Protect these machines, under every policy, even if that cuts somebody off."""
    tx.execute(_force, {"keys": list(machine_keys)})


def _each_covering(tx: Tx, machine_keys: Iterable[str]) -> Iterator[Any]:
    for machine_key in dict.fromkeys(machine_keys):
        yield from tx.fetch(_covering, {"key": machine_key})


def encode_ports(ports: Iterable[PortRule]) -> list[dict[str, Any]]:
    """Ports as JSON, with every text as it was written."""
    return [
        {
            "number": rule.number,
            "protocol": str(rule.protocol),
            "sources": list(rule.sources),
            "sourceTexts": rule.source_texts if isinstance(rule.source_texts, str) else list(rule.source_texts),
            "maxDuration": rule.max_duration.text,
        }
        for rule in ports
    ]


def decode_ports(body: Iterable[Mapping[str, Any]]) -> tuple[PortRule, ...]:
    """The ports that `encode_ports` wrote."""
    return tuple(
        PortRule(
            number=port["number"],
            protocol=Protocol(port["protocol"]),
            sources=tuple(Prefix(source) for source in port["sources"]),
            source_texts=port["sourceTexts"] if isinstance(port["sourceTexts"], str) else tuple(port["sourceTexts"]),
            max_duration=duration.parse(port["maxDuration"], "maxDuration"),
        )
        for port in body
    )


def encode_selections(selections: Iterable[Selection]) -> list[dict[str, Any]]:
    """Selections as JSON."""
    return [
        {
            "scope": selection.selector.scope,
            "tags": dict(selection.selector.tags),
            "os": selection.os,
            "ports": encode_ports(selection.ports),
        }
        for selection in selections
    ]


def decode_selections(body: Iterable[Mapping[str, Any]]) -> tuple[Selection, ...]:
    """The selections that `encode_selections` wrote."""
    return tuple(
        Selection(
            selector=Selector(each["scope"], each["tags"]),
            ports=decode_ports(each["ports"]),
            os=OperatingSystem(each["os"]) if each["os"] else None,
        )
        for each in body
    )


def describe(policy: Policy) -> dict[str, Any]:
    """A policy as it is kept in the history."""
    machines = [{"id": part.id.text, "ports": encode_ports(part.ports)} for part in policy.machines]
    described = {"id": policy.id.text, "machines": machines}
    return described | ({"select": encode_selections(policy.selections)} if policy.selections else {})


def from_description(body: Mapping[str, Any]) -> Policy:
    """The policy that `describe` wrote."""
    parts = [
        MachinePolicy(parse_machine_id(each["id"], "id"), decode_ports(each["ports"])) for each in body["machines"]
    ]
    return Policy(parse_policy_id(body["id"]), tuple(parts), selections=decode_selections(body.get("select", ())))


def _members(tx: Tx, uid: str | None) -> set[str]:
    """The keys of the machines in a policy."""
    return set(tx.execute(_member_keys, {"uid": uid}).scalars()) if uid else set()


def _with_parts(tx: Tx, rows: Sequence[Row[Any]]) -> list[Stored]:
    if not rows:
        return []
    parts: dict[str, list[Row[Any]]] = {row.uid: [] for row in rows}
    for part in tx.execute(_parts, {"uids": list(parts)}):
        parts[part.policy].append(part)
    return [_stored(row, parts[row.uid]) for row in rows]


def _stored(row: Row[Any], parts: Sequence[Row[Any]]) -> Stored:
    return Stored(
        uid=row.uid,
        policy=_policy(row, [_part(part) for part in parts]),
        forced=frozenset(part.machine_key for part in parts if part.force),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _policy(row: Row[Any], parts: Sequence[MachinePolicy]) -> Policy:
    return Policy(_id(row), tuple(parts), row.kind, decode_selections(row.selections))


def _id(row: Row[Any]) -> PolicyId:
    return PolicyId(row.subscription, row.resource_group, row.location, row.name)


def _part(row: Row[Any]) -> MachinePolicy:
    machine_id = parse_machine_id(row.machine_id, "machine_id")
    return MachinePolicy(machine_id, decode_ports(row.ports), row.public_ip_address, row.selected)


def _values(tx: Tx, new: Policy) -> dict[str, Any]:
    return {
        "key": new.id.key,
        "subscription": new.id.subscription,
        "subscription_key": key(new.id.subscription),
        "resource_group": new.id.resource_group,
        "group_key": new.id.group_key,
        "location": new.id.location,
        "name": new.id.name,
        "kind": new.kind,
        "selections": encode_selections(new.selections),
        "selects": bool(new.selections),
        "updated_at": tx.now,
    }


def _part_values(uid: str, position: int, part: MachinePolicy, forced: Collection[str]) -> dict[str, Any]:
    return {
        "policy": uid,
        "position": position,
        "machine_id": part.id.text,
        "machine_key": part.id.key,
        "public_ip_address": part.public_ip_address,
        "selected": part.selected,
        "force": part.id.key in forced,
        "ports": encode_ports(part.ports),
    }


_changing = (
    "subscription",
    "subscription_key",
    "resource_group",
    "group_key",
    "location",
    "name",
    "kind",
    "selections",
    "selects",
    "updated_at",
)
_keys: BindParameter[str] = bindparam("keys", expanding=True)
_uid = select(policy.c.uid).where(policy.c.key == bindparam("key"))
_insert = insert(policy)
_update = (
    update(policy)
    .where(policy.c.key == bindparam("b_key"))
    .values({name: bindparam(f"b_{name}") for name in _changing})
)
_force = update(policy_machine).where(policy_machine.c.machine_key.in_(_keys)).values(force=True)
_delete = delete(policy).where(policy.c.key == bindparam("key"))
_insert_part = insert(policy_machine)
_next_position = select(func.coalesce(func.max(policy_machine.c.position), -1) + 1).where(
    policy_machine.c.policy == bindparam("uid")
)
_selecting = select(policy).where(policy.c.selects).order_by(policy.c.key)
_delete_parts = delete(policy_machine).where(policy_machine.c.policy == bindparam("uid"))
_member_keys = select(policy_machine.c.machine_key).where(policy_machine.c.policy == bindparam("uid"))
_by_key = select(policy).where(policy.c.key == bindparam("key"))
_list = select(policy).where(policy.c.key > bindparam("after")).order_by(policy.c.key).limit(bindparam("most"))
_parts = (
    select(policy_machine)
    .where(policy_machine.c.policy.in_(bindparam("uids", expanding=True)))
    .order_by(policy_machine.c.policy, policy_machine.c.position)
)
_place = Prepared(_by_key)
_part_for = Prepared(
    select(policy_machine).where(
        policy_machine.c.policy == bindparam("uid"), policy_machine.c.machine_key == bindparam("key")
    )
)
_part_under = Prepared(
    select(policy_machine)
    .join(policy, policy_machine.c.policy == policy.c.uid)
    .where(policy.c.key == bindparam("policy_key"), policy_machine.c.machine_key == bindparam("key"))
)
_covering = Prepared(
    select(policy, policy_machine)
    .join(policy_machine, policy_machine.c.policy == policy.c.uid)
    .where(policy_machine.c.machine_key == bindparam("key"))
    .order_by(policy.c.key)
)
