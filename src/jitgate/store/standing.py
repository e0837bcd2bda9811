"""What held at one moment, put together from the history; and what people have done since."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import bindparam, func, select

from jitgate.core.audit_report import Standing, Use
from jitgate.core.resource_id import key
from jitgate.core.roles import BUILT_IN, BUILT_IN_BY_ID, Assignment, Kind, Principal, Role
from jitgate.store import guardrails, history, machines, policies
from jitgate.store.database import Tx
from jitgate.store.history import Body, What
from jitgate.store.schema import activity


def at(tx: Tx, moment: datetime) -> Standing:
    """Everything that decided who could ask for what at a moment."""
    found = history.standing(tx, What.GUARDRAIL, moment)
    return Standing(
        principals=sorted(_principals(tx, moment), key=lambda principal: key(principal.name)),
        policies=[policies.from_description(body) for body in history.standing(tx, What.POLICY, moment).values()],
        guardrails=[guardrails.decode(body["name"], body) for body in found.values()],
        machines={machine.key: machine for machine in machines.standing(tx, moment)},
    )


def uses(tx: Tx, principal: str) -> list[Use]:
    """When somebody last did what: each operation and each thing once. What was refused is no use of a right."""
    return [Use(row.operation, row.resource_key, row.at) for row in tx.execute(_uses, {"principal": principal})]


def _principals(tx: Tx, moment: datetime) -> list[Principal]:
    """Those who could sign in, with what they held by themselves and through their groups."""
    known = history.standing(tx, What.PRINCIPAL, moment)
    roles = history.standing(tx, What.ROLE, moment)
    held = _by(history.standing(tx, What.ASSIGNMENT, moment).values(), "principal")
    groups = _by(history.standing(tx, What.MEMBER, moment).values(), "member")
    found = []
    for uid, body in known.items():
        if body["disabled"] or Kind(body["kind"]).is_group:
            continue
        faces = [(uid, "")] + [
            (m["group"], known[m["group"]]["name"]) for m in groups.get(uid, ()) if m["group"] in known
        ]
        given = [
            Assignment(role, one["scope"], via)
            for face, via in faces
            for one in held.get(face, ())
            if (role := _role(one["role"], roles)) is not None
        ]
        found.append(Principal(uid, body["name"], tuple(given)))
    return found


def _role(name: str, custom: Mapping[str, Body]) -> Role | None:
    """A role by its id, as it was then; an older history has the names of built-in ones."""
    built_in = BUILT_IN_BY_ID.get(name) or BUILT_IN.get(name)
    if built_in is not None or name not in custom:
        return built_in
    body = custom[name]
    return Role(body["name"], tuple(body["actions"]), tuple(body["notActions"]), id=name, is_custom=True)


def _by(bodies: Iterable[Body], name: str) -> dict[str, list[Body]]:
    found: dict[str, list[Body]] = {}
    for body in bodies:
        found.setdefault(body[name], []).append(body)
    return found


_uses = (
    select(activity.c.operation, activity.c.resource_key, func.max(activity.c.at).label("at"))
    .where(activity.c.principal == bindparam("principal"), activity.c.outcome != "Refused")
    .group_by(activity.c.operation, activity.c.resource_key)
)
