"""Guardrails, and changes that would loosen one and wait for a second administrator."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Row, bindparam, delete, insert, select

from jitgate.core.approval import Step, parse_approver
from jitgate.core.desired import SessionEnd
from jitgate.core.guardrail import Enforcement, Guardrail, Limits
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import key
from jitgate.core.selector import Selector
from jitgate.core.windows import parse as parse_window
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import guardrail, guardrail_proposal


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that waits. `guardrail`: what it would be; None: it would be removed. `by`: a principal's uid."""

    name: str
    guardrail: Guardrail | None
    at: datetime
    by: str

    @property
    def mark(self) -> str:
        """What names exactly this change: another one under the same name, or made at another time, has another."""
        body = None if self.guardrail is None else encode(self.guardrail)
        told = [self.name, body, self.at.isoformat(), self.by]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def put(tx: Tx, new: Guardrail, by: str) -> None:
    """Write a guardrail in place of what is under its name. `by`: the uid of the principal who does."""
    values = {"name_key": key(new.name), "name": new.name, "body": encode(new), "updated_at": tx.now, "updated_by": by}
    tx.execute(_delete, {"name_key": key(new.name)})
    tx.execute(_insert, values)


def get(tx: Tx, name: str) -> Guardrail | None:
    """A guardrail by its name, in any case."""
    row = tx.execute(_get, {"name_key": key(name)}).first()
    return _guardrail(row) if row else None


def list_all(tx: Tx) -> list[Guardrail]:
    """Every guardrail, by name."""
    return ask_all(tx)()


def ask_all(tx: Tx) -> Callable[[], list[Guardrail]]:
    """The same, asked ahead."""
    rows = tx.ask_once(_list)
    return lambda: [_guardrail(row) for row in rows()]


def remove(tx: Tx, name: str) -> bool:
    """Delete a guardrail. False: there is none."""
    return tx.execute(_delete, {"name_key": key(name)}).rowcount == 1


def propose(tx: Tx, name: str, new: Guardrail | None, by: str) -> None:
    """Keep a change until another administrator agrees, in place of an earlier proposal for the same guardrail."""
    withdraw(tx, name)
    body = None if new is None else encode(new)
    values = {"name_key": key(name), "name": name, "body": body, "proposed_at": tx.now, "proposed_by": by}
    tx.execute(_insert_proposal, values)


def proposal(tx: Tx, name: str) -> Proposal | None:
    """The change that waits for a guardrail."""
    row = tx.execute(_get_proposal, {"name_key": key(name)}).first()
    return _proposal(row) if row else None


def list_proposals(tx: Tx) -> list[Proposal]:
    """Every change that waits, by name."""
    return [_proposal(row) for row in tx.execute(_list_proposals)]


def withdraw(tx: Tx, name: str) -> bool:
    """Forget a change that waits. False: there is none."""
    return tx.execute(_delete_proposal, {"name_key": key(name)}).rowcount == 1


def encode(one: Guardrail) -> dict[str, Any]:
    """A guardrail as JSON, without its name."""
    selector, limits = one.selector, one.limits
    return {
        "selector": {"scope": selector.scope, "tags": dict(selector.tags), "ports": sorted(selector.ports)},
        "limits": {
            "approvals": limits.approvals,
            "steps": [_encode_step(step) for step in limits.steps],
            "reasonRequired": limits.reason_required,
            "reasonPattern": limits.reason_pattern,
            "session": limits.session,
            "sources": None if limits.sources is None else list(limits.sources),
            "callerOnly": limits.caller_only,
            "maxDuration": _seconds(limits.max_duration),
            "approvalWait": _seconds(limits.approval_wait),
            "windows": list(map(str, limits.windows)),
            "enforcement": limits.enforcement,
        },
    }


def decode(name: str, body: Mapping[str, Any]) -> Guardrail:
    """The guardrail that `encode` wrote."""
    selector, limits = body["selector"], body["limits"]
    return Guardrail(
        name=name,
        selector=Selector(selector["scope"], selector["tags"], frozenset(selector["ports"])),
        limits=Limits(
            approvals=limits["approvals"],
            # What an older jitgate wrote has neither steps nor windows.
            steps=tuple(map(_decode_step, limits.get("steps", ()))),
            reason_required=limits["reasonRequired"],
            reason_pattern=limits["reasonPattern"],
            session=None if limits["session"] is None else SessionEnd(limits["session"]),
            sources=None if limits["sources"] is None else tuple(Prefix(source) for source in limits["sources"]),
            caller_only=limits["callerOnly"],
            max_duration=_timedelta(limits["maxDuration"]),
            approval_wait=_timedelta(limits["approvalWait"]),
            windows=tuple(parse_window(text, "windows") for text in limits.get("windows", ())),
            enforcement=None if limits["enforcement"] is None else Enforcement(limits["enforcement"]),
        ),
    )


def _encode_step(step: Step) -> dict[str, Any]:
    return {
        "approvals": step.approvals,
        "approvers": list(map(str, step.approvers)),
        "escalateAfter": _seconds(step.escalate_after),
        "escalateTo": list(map(str, step.escalate_to)),
        "windows": list(map(str, step.windows)),
    }


def _decode_step(body: Mapping[str, Any]) -> Step:
    return Step(
        approvals=body["approvals"],
        approvers=tuple(parse_approver(text, "approvers") for text in body["approvers"]),
        escalate_after=_timedelta(body["escalateAfter"]),
        escalate_to=tuple(parse_approver(text, "escalateTo") for text in body["escalateTo"]),
        windows=tuple(parse_window(text, "windows") for text in body["windows"]),
    )


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()


def _timedelta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _guardrail(row: Row[Any]) -> Guardrail:
    return decode(row.name, row.body)


def _proposal(row: Row[Any]) -> Proposal:
    proposed = None if row.body is None else decode(row.name, row.body)
    return Proposal(row.name, proposed, row.proposed_at, row.proposed_by)


_name_key: BindParameter[str] = bindparam("name_key")
_insert = insert(guardrail)
_get = select(guardrail).where(guardrail.c.name_key == _name_key)
_list = Prepared(select(guardrail).order_by(guardrail.c.name_key))
_delete = delete(guardrail).where(guardrail.c.name_key == _name_key)
_insert_proposal = insert(guardrail_proposal)
_get_proposal = select(guardrail_proposal).where(guardrail_proposal.c.name_key == _name_key)
_list_proposals = select(guardrail_proposal).order_by(guardrail_proposal.c.name_key)
_delete_proposal = delete(guardrail_proposal).where(guardrail_proposal.c.name_key == _name_key)
