"""The record: a closed vocabulary of what happens, and who did it.

What only touches the database is one event in the same transaction. A refusal is an event in a
transaction of its own. An effect outside is an event before (`STARTED`) and one after. The record is
append-only; one sealer (`jitgate.audit.sealer`) gives every event its sequence number, which is also the order for
readers that keep a cursor, and seals it under a signed head.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jitgate.core import merkle, resource_id, roles
from jitgate.core.alteration import Alteration
from jitgate.core.errors import JitgateError
from jitgate.core.record import encode, moment
from jitgate.store import activity
from jitgate.store.activity import Entry
from jitgate.store.database import Tx
from jitgate.trust.tokens import masked


class Operation(StrEnum):
    """What can be on record. Azure's names where Azure has one."""

    POLICY_WRITE = roles.WRITE_POLICY
    POLICY_DELETE = roles.DELETE_POLICY
    POLICY_SELECT = "Jitgate.Access/policies/machinesSelected"
    REQUEST = roles.INITIATE
    BREAK_GLASS = roles.BREAK_GLASS
    REVIEW = "Jitgate.Access/requests/review/action"
    APPROVE = roles.APPROVE
    DENY = "Jitgate.Access/requests/deny/action"
    WITHDRAW = "Jitgate.Access/requests/withdraw/action"
    APPROVAL_ESCALATED = "Jitgate.Access/requests/escalated"
    REQUEST_CLOSE = "Jitgate.Access/requests/close/action"
    REQUEST_EXTEND = "Jitgate.Access/requests/extend/action"
    REQUEST_SHORTEN = "Jitgate.Access/requests/shorten/action"
    REQUEST_MOVE = "Jitgate.Access/requests/move/action"
    GRANT_OPENING = "Jitgate.Access/grants/opening"
    GRANT_OPEN = "Jitgate.Access/grants/open"
    GRANT_CLOSING = "Jitgate.Access/grants/closing"
    GRANT_CLOSED = "Jitgate.Access/grants/closed"
    GRANT_ENDS_SOON = "Jitgate.Access/grants/endsSoon"
    FREEZE = roles.FREEZE
    THAW = roles.THAW
    GUARDRAIL_WRITE = roles.WRITE_GUARDRAIL
    GUARDRAIL_PROPOSE = "Jitgate.Access/guardrails/propose/action"
    GUARDRAIL_DELETE = "Jitgate.Access/guardrails/delete"
    NETWORK_WRITE = roles.WRITE_NETWORK
    NETWORK_DELETE = "Jitgate.Access/networks/delete"
    FIREWALL_APPLY = "Jitgate.Firewall/scopes/apply"
    FIREWALL_REPAIR = "Jitgate.Firewall/scopes/repair"
    FIREWALL_LATE = "Jitgate.Firewall/scopes/closeLate"
    FIREWALL_RELEASE = "Jitgate.Firewall/scopes/release"
    FIREWALL_PROTECT = "Jitgate.Firewall/scopes/protect"
    ALTERATION_PROPOSED = "Jitgate.Firewall/alterations/proposed"
    ALTERATION_AGREE = roles.AGREE_TO_ALTERATION
    ALTERATION_DONE = "Jitgate.Firewall/alterations/altered"
    ALTERATION_RESTORE = "Jitgate.Firewall/alterations/restore"
    HOST_TOKEN = roles.JOIN_HOST
    HOST_JOIN = "Jitgate.Access/hosts/joined"
    HOST_APPROVE = "Jitgate.Access/hosts/approve/action"
    HOST_CONFIRM = "Jitgate.Access/hosts/confirm/action"
    HOST_REMOVE = "Jitgate.Access/hosts/delete"
    HOST_ADDRESSES = "Jitgate.Access/hosts/addressesChanged"
    HOST_MACHINES_REFUSED = "Jitgate.Access/hosts/machinesRefused"
    HOST_SILENT = "Jitgate.Access/hosts/silent"
    HOST_HEARD = "Jitgate.Access/hosts/heardAgain"
    HOST_DOUBLED = "Jitgate.Access/hosts/doubled"
    FIREWALL_GENERATION = "Jitgate.Firewall/scopes/goOnFromGeneration"
    MACHINE_FOUND = "Jitgate.Access/machines/found"
    MACHINE_REMOVED = "Jitgate.Access/machines/removed"
    CONNECTOR_WRITE = roles.WRITE_CONNECTOR
    CONNECTOR_TEST = "Jitgate.Access/connectors/test/action"
    CONNECTOR_DELETE = "Jitgate.Access/connectors/delete"
    CONNECTOR_RELEASED = "Jitgate.Access/connectors/released"
    CONNECTOR_FAILED = "Jitgate.Access/connectors/failed"
    CONNECTOR_RECOVERED = "Jitgate.Access/connectors/recovered"
    ACTIVITY_EXPORT = "Jitgate.Access/activity/export/action"
    ACTIVITY_EXPIRE = "Jitgate.Access/activity/expire"
    RESTORE = "Jitgate.Access/records/restored"
    PLAN_WRITE = roles.WRITE_PLAN
    PLAN_DELETE = roles.DELETE_PLAN
    JIT_DISABLE = "Jitgate.Access/jit/disable/action"
    JIT_ENABLE = "Jitgate.Access/jit/enable/action"
    PRINCIPAL_CREATE = roles.WRITE_PRINCIPAL
    PRINCIPAL_DISABLE = roles.DISABLE_PRINCIPAL
    PRINCIPAL_ENABLE = "Jitgate.Access/principals/enable/action"
    GROUP_WRITE = roles.WRITE_GROUP
    GROUP_DELETE = "Jitgate.Access/groups/delete"
    GROUP_JOIN = "Jitgate.Access/groups/members/write"
    GROUP_LEAVE = "Jitgate.Access/groups/members/delete"
    ROLE_WRITE = roles.WRITE_ROLE
    ROLE_DELETE = roles.DELETE_ROLE
    ROLE_ASSIGN = roles.WRITE_ASSIGNMENT
    ROLE_UNASSIGN = roles.DELETE_ASSIGNMENT
    CREDENTIAL_CREATE = roles.WRITE_CREDENTIAL
    CREDENTIAL_REVOKE = roles.DELETE_CREDENTIAL
    NOTIFY_REFUSED = "Jitgate.Notify/messages/refused"
    SIGN_IN = "Jitgate.Access/signIn/action"
    SIGN_OUT = "Jitgate.Access/signOut/action"
    SIGN_IN_REFUSED = "Jitgate.Access/signIn/refused"
    OWNER_TOKEN_USED = "Jitgate.Access/signIn/ownerTokenUsed"  # noqa: S105


class Outcome(StrEnum):
    """How it went. `Started` has a later event with the same correlation."""

    STARTED = "Started"
    ACCEPTED = "Accepted"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it. The default is jitgate itself."""

    principal: str | None = None
    name: str = "jitgate"
    credential: str | None = None
    address: str | None = None


ITSELF = Actor()


@dataclass(frozen=True, slots=True)
class Proof:
    """What a host has said and signed with a key of its own: evidence that rests on the host, not on this server.

    `signer`     the host's public key
    `signature`  over `signed`, for the use that `purpose` names (`jitgate.trust.signatures`)
    `signed`     the bytes, exactly as they came
    """

    signer: str
    purpose: str
    signature: str
    signed: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the record. `resource` is an ARM id where there is one, else a scope or a name.

    `proof` becomes ``properties.proof``, and is sealed like everything else.
    """

    operation: Operation
    outcome: Outcome
    resource: str
    actor: Actor = ITSELF
    correlation: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    proof: Proof | None = None


def record(tx: Tx, events: Iterable[Event]) -> None:
    """Put events on record, with the transaction that they tell of."""
    activity.append(tx, [_row(tx, event) for event in events])


def refusal(error: JitgateError) -> Mapping[str, Any]:
    """A refusal's properties: every reason, with its field and what would have been allowed.

    A reason repeats what was sent, which may be a token in the wrong place.
    """
    return {
        "reasons": [
            {"code": r.code, "field": r.field, "message": masked(r.message), "allowed": r.allowed}
            for r in error.reasons
        ]
    }


def altered(alteration: Alteration) -> Mapping[str, Any]:
    """What is done to a rule that others made, with its original: enough to put it back by hand."""
    return {
        "what": alteration.what,
        "original": dict(alteration.original),
        "ports": list(alteration.ports),
        "concerns": list(alteration.concerns)[:100],
    }


def line(entry: Entry, sequence: int | None = None) -> bytes:
    """An event as it is sealed and exported: one line of ASCII JSON, without its newline.

    `sequence`: the one that it will have, where it has none yet. Never changed: what was sealed in this form must be
    written in it for ever.
    """
    return encode(
        {
            "address": entry.address,
            "caller": entry.caller,
            "correlation": entry.correlation,
            "credential": entry.credential,
            "id": entry.id,
            "operation": entry.operation,
            "outcome": entry.outcome,
            "principal": entry.principal,
            "properties": entry.properties,
            "resource": entry.resource,
            "sequence": sequence or entry.sequence,
            "timeUtc": moment(entry.at),
        }
    )


def leaves(entries: Iterable[Entry], first: int) -> list[bytes]:
    """The hashed leaves of a batch whose first event has, or will have, this sequence."""
    return [merkle.leaf(line(entry, first + at)) for at, entry in enumerate(entries)]


def _row(tx: Tx, event: Event) -> Mapping[str, Any]:
    resource = masked(event.resource)
    return {
        "at": tx.now,
        "operation": str(event.operation),
        "outcome": str(event.outcome),
        "principal": event.actor.principal,
        "caller": event.actor.name,
        "credential": event.actor.credential,
        "address": event.actor.address,
        "resource": resource,
        "resource_key": resource_id.key(resource),
        "correlation": event.correlation,
        "properties": {**event.properties, **_proven(event.proof)},
    }


def _proven(proof: Proof | None) -> Mapping[str, Any]:
    if proof is None:
        return {}
    said = {"signer": proof.signer, "purpose": proof.purpose, "signature": proof.signature}
    return {"proof": {**said, "signed": base64.b64encode(proof.signed).decode()}}
