"""Guardrails: setting limits, and loosening them with a second administrator."""

from collections.abc import Sequence

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import guardrail as rules
from jitgate.core import roles
from jitgate.core.errors import Conflict, NotFound
from jitgate.core.guardrail import Guardrail
from jitgate.core.resource_id import key
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.independence import require_second_person
from jitgate.store import guardrails, history, scopes
from jitgate.store.database import Tx
from jitgate.store.guardrails import Proposal
from jitgate.store.history import What


async def list_guardrails(service: Service, asker: Asker) -> tuple[Guardrail, ...]:
    """The guardrails that the asker may read at their scopes, by name. Raises Forbidden where that is nowhere."""
    _must_read_somewhere(asker)
    return await service.store.read(lambda tx: tuple(one for one in guardrails.list_all(tx) if _may_read(asker, one)))


async def get_guardrail(service: Service, asker: Asker, name: str) -> Guardrail:
    """One of these. Raises Forbidden, also for who may not be told whether there is one, and NotFound."""

    def work(tx: Tx) -> Guardrail:
        found = guardrails.get(tx, name)
        if found is None or not _may_read(asker, found):
            require(asker, roles.READ_GUARDRAIL, "/")
        return _existing(tx, name)

    return await service.store.read(work)


async def list_proposals(service: Service, asker: Asker) -> Sequence[Proposal]:
    """Changes that loosen one of these and wait for a second administrator. Raises Forbidden."""
    _must_read_somewhere(asker)

    def work(tx: Tx) -> Sequence[Proposal]:
        may = asker.principal.may
        waiting = guardrails.list_proposals(tx)
        return [one for one in waiting if all(may(roles.READ_GUARDRAIL, place) for place in _places(tx, one))]

    return await service.store.read(work)


async def put_guardrail(service: Service, asker: Asker, guardrail: Guardrail, *, is_new: bool = False) -> bool:
    """Set a guardrail. False: it would loosen what holds, and waits for a second administrator.

    `is_new`: it must take no other's place. Raises Forbidden, Invalid, Conflict.
    """
    rules.check(guardrail)

    def work(tx: Tx) -> bool:
        require(asker, roles.WRITE_GUARDRAIL, guardrail.selector.scope)
        old = guardrails.get(tx, guardrail.name)
        if old is not None:
            require(asker, roles.WRITE_GUARDRAIL, old.selector.scope)
            if is_new:
                raise Conflict(f"There is a guardrail {old.name} already. Edit that one, or take another name.")
        return _change(tx, asker, guardrail.name, old, guardrail)

    return await attempt(service, asker, Operation.GUARDRAIL_WRITE, _resource(guardrail.name), work)


async def delete_guardrail(service: Service, asker: Asker, name: str) -> bool:
    """Remove a guardrail, which loosens it: always False, it waits for a second administrator.

    Raises Forbidden, NotFound.
    """

    def work(tx: Tx) -> bool:
        old = _writable(tx, asker, name)
        return _change(tx, asker, old.name, old, None)

    return await attempt(service, asker, Operation.GUARDRAIL_DELETE, _resource(name), work)


async def confirm_guardrail(service: Service, asker: Asker, name: str, mark: str) -> None:
    """Agree, as a second administrator, to a change that loosens a guardrail.

    `mark` names the change that was read (`Proposal.mark`), so that no other can have been put in its place since.
    Raises Forbidden (also for whoever is not known to be a second person), NotFound, Conflict.
    """

    def work(tx: Tx) -> None:
        _must_be_writable(tx, asker, name)
        # There may be no guardrail of that name yet: adding one can loosen as well.
        proposal = guardrails.proposal(tx, name)
        if proposal is None:
            raise NotFound(f"No change of guardrail {name[:100]!r} waits for confirmation.")
        if proposal.guardrail is not None:
            require(asker, roles.WRITE_GUARDRAIL, proposal.guardrail.selector.scope)
        require_second_person(tx, asker, proposal.by, proposal.at, roles.WRITE_GUARDRAIL, _places(tx, proposal))
        if mark != proposal.mark:
            raise Conflict(f"The change of guardrail {name[:100]!r} is not the one that you have read. Read it again.")
        _put_in_force(tx, asker, proposal.name, proposal.guardrail)

    await attempt(service, asker, Operation.GUARDRAIL_WRITE, _resource(name), work)


def _places(tx: Tx, proposal: Proposal) -> list[str]:
    """The scopes that a change is about: before, and after."""
    rails = (guardrails.get(tx, proposal.name), proposal.guardrail)
    return [rail.selector.scope for rail in rails if rail is not None]


def _change(tx: Tx, asker: Asker, name: str, old: Guardrail | None, new: Guardrail | None) -> bool:
    if rules.is_looser(new, old):
        guardrails.propose(tx, name, new, asker.principal.uid)
        audit.record(tx, [event(asker, Operation.GUARDRAIL_PROPOSE, Outcome.ACCEPTED, _resource(name), _facts(new))])
        return False
    _put_in_force(tx, asker, name, new)
    return True


def _put_in_force(tx: Tx, asker: Asker, name: str, new: Guardrail | None) -> None:
    """Set or remove it. How sessions end and what is enforced may change anywhere, so all scopes are swept."""
    if new is None:
        guardrails.remove(tx, name)
    else:
        guardrails.put(tx, new, asker.principal.uid)
    body = None if new is None else {"name": new.name, **guardrails.encode(new)}
    who = asker.principal
    history.keep(tx, What.GUARDRAIL, key(name), body, principal=who.uid, caller=who.name)
    guardrails.withdraw(tx, name)
    scopes.sweep_all(tx)
    operation = Operation.GUARDRAIL_WRITE if new else Operation.GUARDRAIL_DELETE
    audit.record(tx, [event(asker, operation, Outcome.SUCCEEDED, _resource(name), _facts(new))])


def _must_read_somewhere(asker: Asker) -> None:
    if not asker.principal.scopes(roles.READ_GUARDRAIL):
        require(asker, roles.READ_GUARDRAIL, "/")


def _may_read(asker: Asker, guardrail: Guardrail) -> bool:
    return asker.principal.may(roles.READ_GUARDRAIL, guardrail.selector.scope)


def _existing(tx: Tx, name: str) -> Guardrail:
    found = guardrails.get(tx, name)
    if found is None:
        raise NotFound(f"There is no guardrail {name[:100]!r}. `jitgate guardrail ls` lists them.")
    return found


def _writable(tx: Tx, asker: Asker, name: str) -> Guardrail:
    """A guardrail that the asker may change. Raises Forbidden, NotFound."""
    _must_be_writable(tx, asker, name)
    return _existing(tx, name)


def _must_be_writable(tx: Tx, asker: Asker, name: str) -> None:
    """Who may not change a guardrail is not told whether there is one. Raises Forbidden."""
    found = guardrails.get(tx, name)
    if found is None or not asker.principal.may(roles.WRITE_GUARDRAIL, found.selector.scope):
        require(asker, roles.WRITE_GUARDRAIL, "/")


def _facts(guardrail: Guardrail | None) -> dict[str, object]:
    return {"guardrail": None if guardrail is None else guardrails.encode(guardrail)}


def _resource(name: str) -> str:
    return f"/guardrails/{name}"
