"""Whom an issuer means by a subject: a principal of ours, by a row that says so.

Issuer and subject together are the identity; a name is for people only. So nobody at an issuer becomes somebody else
here by taking a name, and revoking the row shuts one subject out for good.
"""

import hashlib
from urllib.parse import urlsplit
from uuid import uuid4

from jitgate.identity.credentials import USED_EVERY, Known, NotKnown, still_proves
from jitgate.identity.issuers import Claimed
from jitgate.identity.kinds import ACCOUNT
from jitgate.store import credentials, principals
from jitgate.store.database import Tx
from jitgate.store.principals import Account, Credential

GROUPS = "groups"
_NO_SECRET = "none"  # noqa: S105 - no hash of a secret ever is
_ID_LENGTH = 32


def id_of(claimed: Claimed) -> str:
    """The id of the row for a subject of an issuer."""
    return hashlib.sha256(f"{claimed.issuer}\0{claimed.subject}".encode()).hexdigest()[:_ID_LENGTH]


def find(tx: Tx, claimed: Claimed) -> Known:
    """The principal that is meant, which has been here before. Raises NotKnown for one that is shut out."""
    return still_proves(tx, id_of(claimed), {ACCOUNT})


def find_fresh(tx: Tx, claimed: Claimed) -> Known | None:
    """The same; None where what is kept has to be brought up to date: new groups, or nobody has looked for a minute.

    Raises NotKnown.
    """
    held = credentials.get(tx, id_of(claimed))
    if held is None or list(held.facts.get(GROUPS, ())) != list(claimed.groups):
        return None
    return None if held.used_at is None or tx.now - held.used_at >= USED_EVERY else find(tx, claimed)


def take_in(tx: Tx, claimed: Claimed, kind: str) -> Account | None:
    """Make the principal and the row for a subject that comes for the first time; it holds no role yet.

    None: it has been here before.
    """
    if credentials.get(tx, id_of(claimed)) is not None:
        return None
    account = principals.add(tx, uuid4().hex, _free_name(tx, claimed), kind)
    label = f"{claimed.subject} at {claimed.issuer}"
    credentials.add(tx, Credential(id_of(claimed), account.uid, ACCOUNT, label, _NO_SECRET, tx.now))
    return account


def keep_groups(tx: Tx, claimed: Claimed, address: str | None) -> None:
    """Keep which groups the issuer named, and when and from where the subject came."""
    credentials.keep_facts(tx, id_of(claimed), {GROUPS: list(claimed.groups)})
    credentials.use(tx, id_of(claimed), address)


def _free_name(tx: Tx, claimed: Claimed) -> str:
    """The name that the issuer tells, or one that says where it comes from if that is somebody's already."""
    told = "".join(letter for letter in claimed.name if letter.isprintable()).strip() or claimed.subject
    place = urlsplit(claimed.issuer).hostname or claimed.issuer
    for name in (told, f"{told} ({place})", f"{told} ({place}, {id_of(claimed)[:8]})"):
        if principals.find_any(tx, name) is None:
            return name
    raise NotKnown("every name for the subject is somebody else's")
