"""People sign in, and out: a link or an OpenID Connect provider for a session."""

from dataclasses import dataclass, replace
from datetime import timedelta

from jitgate import audit
from jitgate.audit import Event, Operation, Outcome
from jitgate.core.errors import Unauthenticated
from jitgate.identity import credentials as proofs
from jitgate.identity import people
from jitgate.identity.attempts import by_address
from jitgate.identity.credentials import Known, New, NotKnown
from jitgate.identity.issuers import Provider
from jitgate.identity.kinds import LINK, PASSING, SESSION
from jitgate.identity.people import Way
from jitgate.service.attempt import actor, attempt, event
from jitgate.service.base import Asker, Service
from jitgate.service.credentials import may_make
from jitgate.service.links import must_still_be_good
from jitgate.service.recognition import PERSON, Caller, recognise
from jitgate.service.refusals import refuse
from jitgate.store import credentials, principals
from jitgate.store.database import Tx
from jitgate.trust import tokens

LINK_LIFE = timedelta(minutes=15)
FIRST_LINK_LIFE = timedelta(hours=1)
KEPT = timedelta(days=1)
"""How long what has ended is kept, so that its late use is on record by name."""


class NotSignedIn(Unauthenticated):
    """It did not work; why is for the record only."""

    def __init__(self) -> None:
        super().__init__("That did not sign you in. The link or code was used already, has expired, or is wrong.")


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has begun. `secret` goes into the cookie, and nowhere else."""

    secret: str
    seconds: int


async def make_link(service: Service, asker: Asker) -> str:
    """A sign-in link's secret for oneself, good once and for minutes. Raises Forbidden."""

    def work(tx: Tx) -> str:
        may_make(asker)
        credentials.forget(tx, PASSING, tx.now - KEPT)
        token = proofs.make(tx, asker.principal.uid, New(LINK, "sign-in link", LINK_LIFE))
        facts = {"kind": LINK, "credential": token.id, "of": asker.principal.uid}
        audit.record(tx, [event(asker, Operation.CREDENTIAL_CREATE, Outcome.SUCCEEDED, asker.principal.name, facts)])
        return token.text

    return await attempt(service, asker, Operation.CREDENTIAL_CREATE, asker.principal.name, work)


async def make_first_link(service: Service, name: str) -> str:
    """A sign-in link's secret for a principal, made by jitgate itself at its start; "" if that one is disabled."""

    def work(tx: Tx) -> str:
        account = principals.find(tx, name)
        if account is None or account.disabled_at is not None:
            return ""
        # One at a time: the file that held the one before is overwritten.
        credentials.revoke_all(tx, account.uid, LINK)
        token = proofs.make(tx, account.uid, New(LINK, "sign-in link of the start", FIRST_LINK_LIFE))
        facts = {"kind": LINK, "credential": token.id, "of": account.uid}
        audit.record(tx, [Event(Operation.CREDENTIAL_CREATE, Outcome.SUCCEEDED, account.name, properties=facts)])
        return token.text

    return await service.store.write(work)


async def use_link(service: Service, caller: Caller, link: str) -> Session:
    """A session for a sign-in link, which is good no more then. Raises TooMany, NotSignedIn."""
    _slow_down(service, caller)

    def work(tx: Tx) -> Session:
        token = tokens.parse(link)
        if token is None:
            raise NotKnown("no sign-in link has this form")
        known = proofs.prove(tx, token, {LINK})
        held = credentials.get(tx, token.id)
        assert held is not None
        must_still_be_good(tx, held)
        credentials.revoke(tx, token.id)
        return _begin(service, tx, known, caller, "link")

    try:
        return await service.store.write(work)
    except NotKnown as error:
        raise await _refused(service, caller, error) from None


async def finish_way(service: Service, caller: Caller, provider: Provider, way: Way, answer: dict[str, str]) -> Session:
    """A session for whom a provider has signed in. Raises TooMany, NotSignedIn."""
    _slow_down(service, caller)
    try:
        claimed = await people.finish(provider, way, answer, service.clock.wall())
        known = await recognise(service, caller, claimed, PERSON)
    except NotKnown as error:
        raise await _refused(service, caller, error) from None
    return await service.store.write(lambda tx: _begin(service, tx, known, caller, provider.issuer.name))


async def find(service: Service, caller: Caller, secret: str) -> Asker:
    """Who asks with a session. Raises NotKnown."""
    settings = service.settings.sign_in
    known = await proofs.authenticate(service.store, secret, {SESSION}, idle=settings.idle, address=caller.address)
    return Asker(known.principal, known.credential, caller.address, caller.correlation)


async def look_again(service: Service, asker: Asker) -> Asker:
    """The same person with the rights that they hold now, without counting as use. Raises NotKnown."""
    idle = service.settings.sign_in.idle
    known = await service.store.read(lambda tx: proofs.still_proves(tx, asker.credential, {SESSION}, idle=idle))
    return replace(asker, principal=known.principal)


async def sign_out(service: Service, asker: Asker) -> None:
    """End the session that is asked with."""

    def work(tx: Tx) -> None:
        credentials.revoke(tx, asker.credential)
        audit.record(tx, [event(asker, Operation.SIGN_OUT, Outcome.SUCCEEDED, asker.principal.uid)])

    await service.store.write(work)


def _begin(service: Service, tx: Tx, known: Known, caller: Caller, by: str) -> Session:
    life = service.settings.sign_in.session
    credentials.forget(tx, PASSING, tx.now - KEPT)
    token = proofs.make(tx, known.principal.uid, New(SESSION, by, life, {"by": known.credential}))
    asker = Asker(known.principal, known.credential, caller.address, caller.correlation)
    facts = {"by": by, "session": token.id}
    signed_in = Event(
        Operation.SIGN_IN, Outcome.SUCCEEDED, known.principal.uid, actor(asker), caller.correlation, facts
    )
    audit.record(tx, [signed_in])
    return Session(token.text, int(life.total_seconds()))


def _slow_down(service: Service, caller: Caller) -> None:
    service.attempts.check(service.clock.elapsed(), by_address(caller.address))


async def _refused(service: Service, caller: Caller, error: NotKnown) -> NotSignedIn:
    service.attempts.failed(service.clock.elapsed(), by_address(caller.address))
    await refuse(service, error, caller.address, caller.correlation)
    return NotSignedIn()
