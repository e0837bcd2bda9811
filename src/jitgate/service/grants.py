"""What can be done with a grant: look at it, close it early, extend, shorten or move it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import prefixes, roles
from jitgate.core.access import Ask, CloseReason, Grant, MachineAsk, PortAsk, Span, State, check_ask
from jitgate.core.decide import NeedsApproval
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound
from jitgate.core.prefixes import Prefix
from jitgate.core.progress import Move
from jitgate.core.resource_id import parse_machine_id
from jitgate.service import pages, presentation
from jitgate.service.attempt import attempt, event, must_not_be_frozen
from jitgate.service.base import Asker, Service
from jitgate.service.machines import readable
from jitgate.service.requests import decision_on, grant, make_grant, may_read
from jitgate.service.views import GrantView, Page
from jitgate.store import grants, policies, requests, scopes
from jitgate.store.database import Tx
from jitgate.store.requests import Granted

_SHORTEST_PREFIX = 4
_NOT_CLOSED = tuple(state for state in State if state not in (State.NEW, State.CLOSED))


async def list_grants(
    service: Service,
    asker: Asker,
    *,
    state: Sequence[State] | None = None,
    machine: str | None = None,
    mine: bool = False,
    limit: int = 100,
    after: str | None = None,
) -> Page[GrantView]:
    """Grants that the asker may see, newest first; without `state`, all that are not closed.

    Raises NotFound for an unknown machine, Invalid for a page that was never given out.
    """

    def work(tx: Tx) -> Page[GrantView]:
        found = requests.list_grants(
            tx,
            states=state or _NOT_CLOSED,
            on_machine=readable(tx, asker, machine).uuid if machine else None,
            principal=asker.principal.uid,
            within=() if mine else _readable(asker),
            before=pages.read_token(after),
            most=limit + 1,
        )
        shown = found[:limit]
        more = pages.write_token(shown[-1].at, shown[-1].grant.uid) if len(found) > limit else None
        # One's own are found in any case; a limited credential may not be good for all of them.
        return Page(presentation.grant_views(tx, [given for given in shown if may_read(asker, given)]), more)

    return await service.store.read(work)


async def get_grant(service: Service, asker: Asker, uid: str) -> GrantView:
    """One grant, by its uid or the beginning of it. Raises NotFound, Invalid."""
    return await service.store.read(lambda tx: presentation.grant_views(tx, [_find(tx, asker, uid)])[0])


async def close_grant(service: Service, asker: Asker, uid: str) -> GrantView:
    """Close a port early: by who asked for it, or with the right to revoke. Closing twice is closing once.

    Raises NotFound, Forbidden.
    """

    def close(tx: Tx, given: Granted) -> Granted:
        held = given.grant
        if held.state.is_over:
            return given
        own = given.asked.principal == asker.principal.uid
        reason = CloseReason.USER_REQUESTED if own else CloseReason.REVOKED
        if not held.state.is_live:
            reason = CloseReason.WITHDRAWN if own else CloseReason.REVOKED
        state = State.CLOSING if held.state.is_live else State.CLOSED
        return _moved(tx, given, Move(held, state, tx.now, reason))

    return await _act(service, asker, uid, Operation.REQUEST_CLOSE, close)


async def extend_grant(service: Service, asker: Asker, uid: str, span: Span) -> GrantView:
    """Let a grant end later: a new decision by the same rules, counted from now, or from its start.

    Where these ask for approval, the answer is a new grant that waits for it, and takes the old one's place once it
    is open; a duration then counts from there. Raises NotFound, Forbidden, Conflict, Invalid, Refused.
    """

    def extend(tx: Tx, given: Granted) -> Granted:
        end = _later_end(tx, given, span)
        covering = _policies(tx, given)
        again = _ask_again(given, given.grant.sources, Span(end=end), asker)
        decision, _ = decision_on(tx, asker, again, covering)
        if isinstance(decision, NeedsApproval) and given.asked.principal == asker.principal.uid:
            asked = grant(tx, asker, _ask_again(given, given.grant.sources, span, asker), covering)
            return requests.get(tx, asked.uid)[0]
        _refuse_approval(decision)
        grants.set_end(tx, given.grant, end)
        return _changed(tx, given, end)

    return await _act(service, asker, uid, Operation.REQUEST_EXTEND, extend)


async def shorten_grant(service: Service, asker: Asker, uid: str, span: Span) -> GrantView:
    """Let a grant end earlier. Raises NotFound, Forbidden, Conflict, Invalid."""

    def shorten(tx: Tx, given: Granted) -> Granted:
        _must_not_be_over(given.grant)
        end = span.end_from(tx.now)
        if end <= tx.now:
            raise Invalid("endTimeUtc", "the end has passed", allowed="a time ahead; close the grant to end it now")
        if given.grant.end is None or end >= given.grant.end:
            raise Invalid("endTimeUtc", f"that is not earlier than {_utc(given.grant.end)}", allowed="an earlier end")
        grants.set_end(tx, given.grant, end)
        return _changed(tx, given, end)

    return await _act(service, asker, uid, Operation.REQUEST_SHORTEN, shorten)


async def move_grant(service: Service, asker: Asker, uid: str, sources: tuple[Prefix, ...]) -> GrantView:
    """Open the rest of a grant for another source; the old source shuts once the new one is open.

    Answers with the new grant, of the same request and with the same end. Where the rules ask for approval, that is
    a request of its own which waits for it, while the old source stays open. Raises NotFound, Forbidden, Conflict,
    Invalid, Refused.
    """

    def move(tx: Tx, given: Granted) -> Granted:
        old = given.grant
        if old.principal != asker.principal.uid:
            raise Forbidden(f"Grant {old.uid[:8]} is {given.asked.requestor}'s, and only its owner can move it.")
        if not old.state.is_live or old.end is None:
            raise Conflict(f"Grant {old.uid[:8]} is {old.state}: only an open grant can be moved. Ask again instead.")
        again = replace(_ask_again(given, sources, Span(end=old.end), asker), moved_from=old.uid)
        covering = _policies(tx, given)
        decision, _ = decision_on(tx, asker, again, covering)
        if isinstance(decision, NeedsApproval):
            return requests.get(tx, grant(tx, asker, again, covering).uid)[0]
        terms = decision.terms[0]
        fresh = replace(make_grant(terms, State.OPENING, given.asked.uid, asker, tx), moved_from=old.uid)
        texts = tuple(prefixes.text(source) for source in sources)
        new = replace(given, grant=fresh, at=tx.now, source_texts=texts, position=given.position)
        grants.add(tx, [(fresh, requests.more(new))])
        grants.name_successor(tx, [old.uid], fresh.uid)
        scopes.wake(tx, fresh.scope)
        return new

    return await _act(service, asker, uid, Operation.REQUEST_MOVE, move)


# --- parts of these ----------------------------------------------------------------------------------


async def _act(
    service: Service, asker: Asker, uid: str, operation: Operation, act: Callable[[Tx, Granted], Granted]
) -> GrantView:
    """Do something to a grant that is the asker's own, or with the right to revoke others'."""

    def work(tx: Tx) -> GrantView:
        given = _find(tx, asker, uid)
        _must_be_own(tx, asker, given)
        result = act(tx, given)
        audit.record(tx, [event(asker, operation, Outcome.SUCCEEDED, given.machine_id, _facts(result.grant))])
        return presentation.grant_views(tx, [result])[0]

    return await attempt(service, asker, operation, f"grant/{uid}", work)


def _find(tx: Tx, asker: Asker, uid: str) -> Granted:
    prefix = uid.strip().lower()
    if len(prefix) < _SHORTEST_PREFIX or not prefix.isalnum():
        raise Invalid(
            "grant",
            f"{uid[:40]!r} is not a grant's id",
            allowed=f"an id, or its first {_SHORTEST_PREFIX} or more characters",
        )
    found = [given for given in requests.find_grants(tx, prefix, 1000) if may_read(asker, given)]
    if not found:
        raise NotFound(f"There is no grant {uid[:40]}. `jitgate ls --all` lists them.")
    if len(found) > 1:
        raise Invalid("grant", f"{uid!r} is the beginning of several ids", allowed="more characters of the id")
    return found[0]


def _readable(asker: Asker) -> tuple[str, ...]:
    """The scope paths below which the asker may read all grants: what `may_read` says, for a query."""
    return asker.principal.scopes(roles.READ_POLICY)


def _must_be_own(tx: Tx, asker: Asker, given: Granted) -> None:
    if given.asked.principal == asker.principal.uid:
        if not asker.principal.can_use(roles.INITIATE, given.machine_id):
            raise Forbidden(f"This credential is not good for {roles.INITIATE} at {given.machine_id}. Use another.")
        return
    if not asker.principal.may(roles.REVOKE, given.machine_id):
        raise Forbidden(
            f"Grant {given.grant.uid[:8]} is {given.asked.requestor}'s. To change it you need the right {roles.REVOKE}."
        )
    must_not_be_frozen(tx, asker)


def _must_not_be_over(grant: Grant) -> None:
    if grant.state.is_over:
        raise Conflict(f"Grant {grant.uid[:8]} is {grant.state} ({grant.reason}). Ask again to open the port.")


def _later_end(tx: Tx, given: Granted, span: Span) -> datetime:
    _must_not_be_over(given.grant)
    if given.grant.end is None:
        raise Conflict(
            f"Grant {given.grant.uid[:8]} is {given.grant.state} and its time has not begun. "
            "Withdraw it and ask for longer."
        )
    end = span.end_from(tx.now)
    if end <= given.grant.end:
        raise Invalid(
            "endTimeUtc", f"that is not later than {_utc(given.grant.end)}", allowed="a later end; or shorten the grant"
        )
    return end


def _ask_again(given: Granted, sources: tuple[Prefix, ...], span: Span, asker: Asker) -> Ask:
    grant = given.grant
    port = PortAsk(grant.port, sources, span, protocol=grant.protocol, field="ports[0]")
    machine = MachineAsk(parse_machine_id(given.machine_id, "machine"), (port,))
    start = None if grant.state.is_live else grant.start
    return check_ask(Ask((machine,), given.asked.justification, caller=asker.address, start=start))


def _policies(tx: Tx, given: Granted) -> list[Any]:
    return policies.covering(tx, [parse_machine_id(given.machine_id, "machine").key])


def _refuse_approval(decision: object) -> None:
    if isinstance(decision, NeedsApproval):
        raise Conflict(
            f"This needs {decision.approvals} approval(s) by {', '.join(decision.guardrails)}. "
            "Make a new request for it."
        )


def _moved(tx: Tx, given: Granted, move: Move) -> Granted:
    grants.move(tx, [move])
    scopes.wake(tx, given.grant.scope)
    return replace(given, grant=grants.get(tx, [given.grant.uid])[given.grant.uid])


def _changed(tx: Tx, given: Granted, end: datetime) -> Granted:
    scopes.hasten(tx, given.grant.scope, tx.now if given.grant.state.is_live else end)
    return replace(given, grant=replace(given.grant, end=end, duration=None))


def _facts(grant: Grant) -> dict[str, Any]:
    return {
        "grant": grant.uid,
        "port": grant.port,
        "protocol": str(grant.protocol),
        "sources": list(grant.sources),
        "state": str(grant.state),
        "endTimeUtc": _utc(grant.end),
        **({"movedFrom": grant.moved_from} if grant.moved_from else {}),
    }


def _utc(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None
