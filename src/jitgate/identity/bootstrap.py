"""The first start: somebody must be able to ask before there is anybody to give rights.

Makes the installation's subscription, and a principal ``owner`` who may do everything, whose token stands in a
file that only the user jitgate runs as can read. The token is shown nowhere else, and kept as a hash.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from jitgate.core.errors import Invalid
from jitgate.core.roles import OWNER
from jitgate.identity.kinds import OWNER as OWNER_KIND
from jitgate.store import credentials, installation, principals
from jitgate.store.database import Store, Tx
from jitgate.store.principals import Account, Credential
from jitgate.trust import tokens
from jitgate.trust.files import PRIVATE, create_private
from jitgate.trust.tokens import Token

OWNER_NAME = "owner"
OWNER_TOKEN = "owner.token"  # noqa: S105 - the name of a file
EVERYWHERE = "/"

OnRecord = Callable[[Tx, Account], None]
"""Puts a new principal on record, in the transaction that makes it."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What the first start has made. `is_new`: that was just now."""

    subscription: str
    is_new: bool


async def bootstrap(store: Store, directory: Path, on_record: OnRecord) -> Installation:
    """Make the subscription, the owner and ``owner.token`` at the first start; later starts change nothing."""
    known = await store.read(installation.subscription)
    if known is not None:
        return Installation(known, is_new=False)
    # The file first: an owner whose token was lost on the way would lock everybody out.
    token = _token(directory / OWNER_TOKEN)
    return await store.write(lambda tx: _make(tx, token, on_record))


def _token(path: Path) -> Token:
    """A new token, in its file; or the one in there, which a start that came no further has left.

    Two processes that start at once so get the same one. Raises Invalid.
    """
    token = tokens.make()
    if create_private(path, f"{token.text}\n".encode()):
        return token
    path.chmod(PRIVATE)
    left = tokens.parse(path.read_text("utf-8", errors="replace").strip())
    if left is None:
        raise Invalid(OWNER_TOKEN, f"{path} holds no token; remove it and start again")
    return left


def _make(tx: Tx, token: Token, on_record: OnRecord) -> Installation:
    known = installation.subscription(tx)
    if known is not None:
        # Another process of this installation was faster.
        return Installation(known, is_new=False)
    subscription = str(uuid4())
    installation.keep_subscription(tx, subscription)
    owner = principals.add(tx, uuid4().hex, OWNER_NAME)
    principals.assign(tx, uuid4().hex, owner.uid, OWNER.name, EVERYWHERE)
    credentials.add(tx, _credential(tx, owner, token))
    on_record(tx, owner)
    return Installation(subscription, is_new=True)


def _credential(tx: Tx, owner: Account, token: Token) -> Credential:
    return Credential(
        id=token.id,
        principal=owner.uid,
        kind=OWNER_KIND,
        label="made at the first start",
        secret_hash=token.digest,
        created_at=tx.now,
    )
