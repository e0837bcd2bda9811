"""Personal tokens, and the client secrets of service principals: making, listing and revoking them; links too.

One's own tokens are one's own business. What belongs to others needs a right, and a credential that is itself limited,
or that only stands in for another, makes no further ones: it would outlive its own limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound
from jitgate.core.roles import Kind, Limit
from jitgate.identity import credentials as proofs
from jitgate.identity.credentials import New
from jitgate.identity.kinds import LINK, OWNER, SECRET, TOKEN
from jitgate.service.attempt import attempt, event, must_not_be_frozen, require
from jitgate.service.base import Asker, Service
from jitgate.service.delegation import require_rights_of
from jitgate.store import credentials, principals
from jitgate.store.database import Tx
from jitgate.store.principals import Account, Credential
from jitgate.store.tenure import MAKER
from jitgate.trust import tokens

SHORTEST, LONGEST = timedelta(minutes=5), timedelta(days=730)
MOST_ACTIONS, LONGEST_ACTION, LONGEST_LABEL, MOST_EACH = 100, 256, 200, 50
SERVICE = "service"
_KINDS = (TOKEN, OWNER, SECRET)
_KINDS_OF_OTHERS = (*_KINDS, LINK)


@dataclass(frozen=True, slots=True)
class Held:
    """A credential as its holder sees it; its secret is known to nobody here. `ended`: it counts no more."""

    id: str
    kind: str
    label: str
    principal: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    used_from: str | None
    limit: Limit | None
    ended: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A new credential. `secret` is shown this once."""

    held: Held
    secret: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A credential that is asked for."""

    label: str
    life: timedelta
    limit: Limit | None = None


async def make_token(service: Service, asker: Asker, wanted: Wanted) -> Made:
    """A personal token for oneself. Raises Invalid, Forbidden, Conflict."""
    _check(wanted)

    def work(tx: Tx) -> Made:
        may_make(asker)
        return _make(tx, asker, _own_account(tx, asker), TOKEN, wanted)

    return await attempt(service, asker, Operation.CREDENTIAL_CREATE, asker.principal.name, work)


async def make_secret(service: Service, asker: Asker, name: str, wanted: Wanted) -> Made:
    """A client secret for a service principal, besides those that it has.

    Raises Invalid, Forbidden, NotFound, Conflict.
    """
    _check(wanted)

    def work(tx: Tx) -> Made:
        require(asker, roles.WRITE_CREDENTIAL, "/")
        may_make(asker)
        must_not_be_frozen(tx, asker)
        account = _existing(tx, name)
        if account.kind != SERVICE:
            raise Invalid("principal", f"{account.name} is no service principal", allowed="a program, not a person")
        require_rights_of(tx, asker, account.uid)
        return _make(tx, asker, account, SECRET, wanted)

    return await attempt(service, asker, Operation.CREDENTIAL_CREATE, name, work)


async def list_credentials(service: Service, asker: Asker, name: str | None = None) -> tuple[Held, ...]:
    """Tokens and secrets, one's own or of whom is named, oldest first; of whom is named, sign-in links too.

    Raises Forbidden, NotFound. A limited credential is told of no other.
    """
    if name is not None:
        require(asker, roles.READ_CREDENTIAL, "/")

    def work(tx: Tx) -> tuple[Held, ...]:
        account = _own_account(tx, asker) if name is None else _existing(tx, name)
        found = credentials.list_of(tx, account.uid, _KINDS if name is None else _KINDS_OF_OTHERS)
        return tuple(held(tx, each, account) for each in found if name is not None or _is_own(asker, each))

    return await service.store.read(work)


async def revoke_credential(service: Service, asker: Asker, id: str) -> None:
    """Make a token, secret or sign-in link useless at once, by its id or by all of it. Revoking twice is revoking once.

    Raises NotFound, Forbidden.
    """
    pasted = tokens.parse(id)
    wanted = pasted.id if pasted else id

    def work(tx: Tx) -> None:
        found = credentials.get(tx, wanted)
        if not _is_own(asker, found):
            require(asker, roles.DELETE_CREDENTIAL, "/")
            must_not_be_frozen(tx, asker)
        if found is None or found.kind not in _KINDS_OF_OTHERS:
            raise NotFound(f"There is no token or secret {id[:40]!r}. List them to see their ids.")
        if credentials.revoke(tx, found.id):
            facts = {"kind": found.kind, "label": found.label, "credential": found.id, "of": found.principal}
            audit.record(tx, [event(asker, Operation.CREDENTIAL_REVOKE, Outcome.SUCCEEDED, found.id, facts)])

    await attempt(service, asker, Operation.CREDENTIAL_REVOKE, id[:100], work)


def check_limit(actions: Sequence[str], scope: str) -> Limit | None:
    """A limit out of what somebody said; None if that was nothing. Raises Invalid."""
    if not actions and scope in ("", "/"):
        return None
    if len(actions) > MOST_ACTIONS or any(not 0 < len(action) <= LONGEST_ACTION for action in actions):
        allowed = f"at most {MOST_ACTIONS} patterns of at most {LONGEST_ACTION} characters, such as */read"
        raise Invalid("actions", "these are no action patterns", allowed=allowed)
    if scope and not scope.startswith("/"):
        raise Invalid("scope", f"{scope[:100]!r} is not a scope path", allowed="/, /subscriptions/… or any id below")
    return Limit(tuple(actions) or ("*",), scope or "/")


def _is_own(asker: Asker, found: Credential | None) -> bool:
    """A limited credential is trusted with nothing but giving itself up."""
    if found is None or found.principal != asker.principal.uid:
        return False
    return found.id == asker.credential or asker.principal.limit is None


def _check(wanted: Wanted) -> None:
    if not wanted.label.strip() or len(wanted.label) > LONGEST_LABEL or not wanted.label.isprintable():
        raise Invalid("name", "a name says what it is for", allowed=f"1 to {LONGEST_LABEL} visible characters")
    if not SHORTEST <= wanted.life <= LONGEST:
        raise Invalid("life", "it would live too short or too long", allowed="5 minutes to 730 days")


def may_make(asker: Asker) -> None:
    """Raise Forbidden where what is asked with must not make credentials."""
    if asker.principal.limit is not None or asker.is_lent:
        raise Forbidden(
            "A credential that is limited, or that was lent for minutes, makes no others. "
            "Use a personal token without limits, or a session."
        )


def _make(tx: Tx, asker: Asker, account: Account, kind: str, wanted: Wanted) -> Made:
    living = [each for each in credentials.list_of(tx, account.uid, [kind]) if not _has_ended(tx, each)]
    if len(living) >= MOST_EACH:
        raise Conflict(f"{account.name} holds {MOST_EACH} of them already. Revoke those that nobody uses.")
    facts = {} if wanted.limit is None else dict(proofs.as_fact(wanted.limit))
    if kind == SECRET:
        facts[MAKER] = asker.principal.uid
    token = proofs.make(tx, account.uid, New(kind, wanted.label.strip(), wanted.life, facts))
    made = credentials.get(tx, token.id)
    assert made is not None
    told = {"kind": kind, "label": made.label, "credential": made.id, "of": account.uid, **facts}
    audit.record(tx, [event(asker, Operation.CREDENTIAL_CREATE, Outcome.SUCCEEDED, account.name, told)])
    return Made(held(tx, made, account), token.text)


def _own_account(tx: Tx, asker: Asker) -> Account:
    return Account(asker.principal.uid, asker.principal.name, Kind.USER, tx.now)


def _existing(tx: Tx, name: str) -> Account:
    found = principals.find(tx, name)
    if found is None:
        raise NotFound(f"There is no principal {name[:100]!r}. Check the spelling of its name.")
    return found


def held(tx: Tx, each: Credential, account: Account) -> Held:
    """A credential as its holder sees it."""
    return Held(
        id=each.id,
        kind=each.kind,
        label=each.label,
        principal=account.name,
        created_at=each.created_at,
        expires_at=each.expires_at,
        revoked_at=each.revoked_at,
        used_at=each.used_at,
        used_from=each.used_from,
        limit=proofs.limit_of(each.facts),
        ended=_has_ended(tx, each),
    )


def _has_ended(tx: Tx, each: Credential) -> bool:
    return each.revoked_at is not None or (each.expires_at is not None and each.expires_at <= tx.now)
