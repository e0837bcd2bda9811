"""A first way in for a person without an identity provider: a sign-in link that an administrator makes.

Whoever holds it until it is used can be that person. So only those make one who could give all that the person holds;
and that is looked at again when it is used, for rights that were given or taken meanwhile.
"""

from datetime import timedelta

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.errors import Conflict, Forbidden, Invalid
from jitgate.core.roles import Kind
from jitgate.identity import credentials as proofs
from jitgate.identity.credentials import New, NotKnown
from jitgate.identity.kinds import ACCOUNT, LINK
from jitgate.service import principals
from jitgate.service.attempt import attempt, event, must_not_be_frozen, require
from jitgate.service.base import Asker, Service
from jitgate.service.credentials import Made, held, may_make
from jitgate.service.delegation import require_rights_of
from jitgate.store import credentials, freezes
from jitgate.store import principals as accounts
from jitgate.store.database import Tx
from jitgate.store.principals import Account, Credential

SHORTEST, LONGEST = timedelta(minutes=5), timedelta(days=7)
_MAKER = "maker"


async def make_link_for(service: Service, asker: Asker, who: str, life: timedelta) -> Made:
    """A sign-in link's secret for somebody else, good once; the ones before are good no more.

    Raises Invalid, Forbidden, NotFound, Conflict for whom no link lets in.
    """
    if not SHORTEST <= life <= LONGEST:
        raise Invalid("life", "the link would be good for too short or too long", allowed="5 minutes to 7 days")

    def work(tx: Tx) -> Made:
        _may_make_links(asker)
        may_make(asker)
        account = principals.find(tx, who)
        _may_let_in(tx, asker, account)
        # The maker can be that person from now on: what is built on who has held a right for long counts from here.
        accounts.remember(tx, account)
        ended = credentials.revoke_all(tx, account.uid, LINK)
        facts = {_MAKER: asker.principal.uid}
        token = proofs.make(tx, account.uid, New(LINK, f"sign-in link by {asker.principal.name}", life, facts))
        made = credentials.get(tx, token.id)
        assert made is not None
        told = {"kind": LINK, "credential": made.id, "of": account.uid, "ended": ended}
        told["expiresTimeUtc"] = (tx.now + life).isoformat(timespec="milliseconds")
        audit.record(tx, [event(asker, Operation.CREDENTIAL_CREATE, Outcome.SUCCEEDED, account.name, told)])
        return Made(held(tx, made, account), token.text)

    return await attempt(service, asker, Operation.CREDENTIAL_CREATE, who, work)


def must_still_be_good(tx: Tx, link: Credential) -> None:
    """Raise NotKnown for a link that whoever has made it could not make now. One's own is always good."""
    maker = link.facts.get(_MAKER)
    if maker is None or link.principal is None:
        return
    loaded = accounts.load(tx, str(maker))
    if loaded is None:
        raise NotKnown("whoever made the link is disabled")
    asker, [account] = Asker(loaded), accounts.get_many(tx, [link.principal]).values()
    try:
        _may_make_links(asker)
        _may_let_in(tx, asker, account)
    except (Forbidden, Conflict) as error:
        raise NotKnown(f"the link could not be made now: {error.message}") from None


def _may_make_links(asker: Asker) -> None:
    """Raise Forbidden unless somebody may administer people, and make what others sign in with."""
    require(asker, roles.WRITE_PRINCIPAL, "/")
    require(asker, roles.WRITE_CREDENTIAL, "/")


def _may_let_in(tx: Tx, maker: Asker, account: Account) -> None:
    """Raise unless a link of this maker may let somebody in."""
    must_not_be_frozen(tx, maker)
    if account.kind != Kind.USER:
        raise Conflict(f"{account.name} is a program, which signs in with a client secret. Make one of these.")
    if account.disabled_at is not None:
        raise Conflict(f"{account.name} is disabled, and no link lets them in. Enable them first.")
    if freezes.of_person(tx, account.uid):
        raise Conflict(f"{account.name} is frozen, and no link lets them in. Thaw them first.")
    if any(each.revoked_at is None for each in credentials.list_of(tx, account.uid, [ACCOUNT])):
        raise Conflict(f"{account.name} signs in at an identity provider, which alone lets them in. Ask who runs it.")
    require_rights_of(tx, maker, account.uid)
