"""Who asks: from what was sent to a principal with its roles, and what does not count on record."""

from dataclasses import dataclass, replace

from jitgate import audit
from jitgate.audit import Actor, Event, Operation, Outcome
from jitgate.core.prefixes import Prefix
from jitgate.identity import accounts
from jitgate.identity.credentials import Known, NotKnown
from jitgate.identity.issuers import Claimed
from jitgate.service import groups
from jitgate.service.base import Asker, Service
from jitgate.service.refusals import refuse
from jitgate.store.database import Tx
from jitgate.store.principals import Account

PROGRAM, PERSON = "service", "user"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who knocks: from where, and what ties the record together."""

    address: Prefix | None
    correlation: str


async def identify(service: Service, caller: Caller, bearer: str) -> Asker:
    """Who asks with a bearer token. Raises NotKnown; what was sent in vain is put on record."""
    try:
        proven = await service.bearers.prove(service.store, bearer, service.clock.wall(), caller.address)
        if isinstance(proven, Claimed):
            proven = await recognise(service, caller, proven, PROGRAM)
    except NotKnown as error:
        if bearer:
            await refuse(service, error, caller.address, caller.correlation)
        raise
    return Asker(proven.principal, proven.credential, caller.address, caller.correlation, proven.is_lent)


async def recognise(service: Service, caller: Caller, claimed: Claimed, kind: str) -> Known:
    """The principal that an issuer means; a new one, without any role, for a subject that comes for the first time.

    Which claimed groups it is in follows the issuer: at each sign-in of a person, and of a program whenever its claim
    changes, and once a minute. Raises NotKnown.
    """
    known = await service.store.read(lambda tx: accounts.find_fresh(tx, claimed)) if kind == PROGRAM else None
    if known is None:
        known = await service.store.write(lambda tx: _take_in(tx, caller, claimed, kind))
    return replace(known, is_lent=True)


def _take_in(tx: Tx, caller: Caller, claimed: Claimed, kind: str) -> Known:
    account = accounts.take_in(tx, claimed, kind)
    if account is not None:
        audit.record(tx, [_made(account, caller, claimed)])
    known = accounts.find(tx, claimed)
    asker = Asker(known.principal, known.credential, caller.address, caller.correlation)
    groups.follow_claim(tx, asker, claimed.issuer, claimed.groups)
    accounts.keep_groups(tx, claimed, caller.address)
    return accounts.find(tx, claimed)


def _made(account: Account, caller: Caller, claimed: Claimed) -> Event:
    facts = {"kind": str(account.kind), "issuer": claimed.issuer, "subject": claimed.subject}
    actor = Actor(account.uid, account.name, accounts.id_of(claimed), caller.address)
    return Event(Operation.PRINCIPAL_CREATE, Outcome.SUCCEEDED, account.name, actor, caller.correlation, facts)
