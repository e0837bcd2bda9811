"""Credentials: what proves principals. What each kind means is for `jitgate.identity` to say."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy import delete as delete_from

from jitgate.store.database import Tx
from jitgate.store.principals import Credential, credential_of
from jitgate.store.schema import credential


def add(tx: Tx, new: Credential) -> None:
    """Add a credential."""
    tx.execute(_insert, {name: getattr(new, name) for name in Credential.__slots__})


def get(tx: Tx, id: str) -> Credential | None:
    """A credential by its id, whatever its state."""
    row = tx.execute(_get, {"id": id}).first()
    return credential_of(row) if row else None


def list_of(tx: Tx, principal: str, kinds: Collection[str]) -> list[Credential]:
    """The credentials of a principal (by uid), oldest first. Those that are revoked are among them."""
    found = tx.execute(_of_principal, {"principal": principal, "kinds": list(kinds)})
    return [credential_of(row) for row in found]


def revoke(tx: Tx, id: str) -> bool:
    """Make a credential useless. False: there is none, or it is revoked already."""
    return tx.execute(_revoke, {"b_id": id, "b_at": tx.now}).rowcount == 1


def revoke_all(tx: Tx, principal: str, kind: str) -> int:
    """Make all credentials of one kind of a principal useless; how many those were."""
    return tx.execute(_revoke_all, {"b_principal": principal, "b_kind": kind, "b_at": tx.now}).rowcount


def use(tx: Tx, id: str, address: str | None) -> None:
    """Note that a credential was used."""
    tx.execute(_use, {"b_id": id, "b_at": tx.now, "b_from": address})


def give(tx: Tx, id: str, principal: str) -> bool:
    """Let a credential that is nobody's prove a principal from now on. False: it is no longer to be had."""
    return tx.execute(_give, {"b_id": id, "b_principal": principal, "b_at": tx.now}).rowcount == 1


def keep_facts(tx: Tx, id: str, facts: Mapping[str, Any]) -> None:
    """Replace what a credential keeps beside its secret."""
    tx.execute(_keep_facts, {"b_id": id, "b_facts": dict(facts)})


def count(tx: Tx, kind: str) -> int:
    """How many there are of a kind, each of which ends, that have not expired."""
    return int(tx.execute(_count, {"kind": kind, "now": tx.now}).scalar_one())


def count_begun(tx: Tx, kind: str, by: str) -> int:
    """How many of a kind are in force that somebody began (by the fact of that name)."""
    return int(tx.execute(_count_begun, {"kind": kind, "now": tx.now, "by": by}).scalar_one())


BEGUN_BY = "begunBy"
"""The fact of a credential that names who began it, while it is nobody's."""


def forget(tx: Tx, kinds: Collection[str], before: datetime) -> int:
    """Remove those of some kinds that ended before a moment, so that what is short-lived does not pile up."""
    return tx.execute(_forget, {"kinds": list(kinds), "before": before}).rowcount


_insert = insert(credential)
_get = select(credential).where(credential.c.id == bindparam("id"))
_of_principal = (
    select(credential)
    .where(credential.c.principal == bindparam("principal"), credential.c.kind.in_(bindparam("kinds", expanding=True)))
    .order_by(credential.c.created_at, credential.c.id)
)
_revoke = (
    update(credential)
    .where(credential.c.id == bindparam("b_id"), credential.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("b_at"))
)
_revoke_all = (
    update(credential)
    .where(
        credential.c.principal == bindparam("b_principal"),
        credential.c.kind == bindparam("b_kind"),
        credential.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("b_at"))
)
_use = (
    update(credential)
    .where(credential.c.id == bindparam("b_id"))
    .values(used_at=bindparam("b_at"), used_from=bindparam("b_from"))
)
_give = (
    update(credential)
    .where(
        credential.c.id == bindparam("b_id"),
        credential.c.principal.is_(None),
        credential.c.revoked_at.is_(None),
        credential.c.expires_at > bindparam("b_at"),
    )
    .values(principal=bindparam("b_principal"))
)
_keep_facts = update(credential).where(credential.c.id == bindparam("b_id")).values(facts=bindparam("b_facts"))
_count = (
    select(func.count())
    .select_from(credential)
    .where(credential.c.kind == bindparam("kind"), credential.c.expires_at > bindparam("now"))
)
_count_begun = _count.where(
    credential.c.revoked_at.is_(None), credential.c.facts[BEGUN_BY].as_string() == bindparam("by")
)
_forget = delete_from(credential).where(
    credential.c.kind.in_(bindparam("kinds", expanding=True)), credential.c.expires_at < bindparam("before")
)
