"""The state machine: whatever people, clocks, crashes and other hands do, in any order, what a packet reaches once it
has settled is what the live grants say, the lists say the same, and nothing is ever open past its deadline."""

import contextlib
import random
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.house import policy_id
from tests.stateful import model as promises
from tests.stateful.model import ADDRESSES, BOTH, OVER, SOURCES, TCP, Model, Promise, Rail, Rule, Wish
from tests.stateful.worlds import Interrupted, Killed, Probe, World

from jitgate.connectors.base import ConnectorError
from jitgate.core import prefixes
from jitgate.core.access import Ask, Grant, MachineAsk, PortAsk, Span, State
from jitgate.core.desired import Protocol
from jitgate.core.duration import Duration, iso
from jitgate.core.errors import Conflict, Forbidden, Invalid, Refused
from jitgate.core.guardrail import Enforcement, Guardrail, Limits
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.resource_id import MachineId, parse_machine_id
from jitgate.core.selector import Selector
from jitgate.service import approvals, freezes, grants, guardrails, policies, requests
from jitgate.service.base import Asker
from jitgate.service.freezes import Target
from jitgate.service.views import GrantView
from jitgate.store import scopes

T = TypeVar("T")
PORTS = (22, 53)
POLICIES = ("one", "two")
REFUSALS = (Refused, Invalid, Conflict)
_LISTED = {
    State.PENDING: promises.PENDING,
    State.SCHEDULED: promises.SCHEDULED,
    State.OPENING: promises.OPENING,
    State.OPEN: promises.OPEN,
    State.CLOSING: OVER,
}

owners = st.sampled_from(["alice", "bob"])
# Few machines, ports and addresses, some of them often: what matters happens where grants meet.
machines = st.sampled_from([0, 0, 0, 1])
ports = st.sampled_from([22, 22, 22, 53])
protocols = st.sampled_from([None, None, TCP, BOTH])
sources = st.lists(st.sampled_from([ADDRESSES[0]] * 5 + sorted(SOURCES)), min_size=1, max_size=2, unique=True)
numbers = st.integers(0, 7)
rules = st.builds(
    Rule,
    ports,
    st.sampled_from([TCP, BOTH, BOTH]),
    st.sampled_from(["*", "*", "10.71.0.0/16"]),
    st.sampled_from([timedelta(hours=3), timedelta(hours=1)]),
)
parts = st.lists(rules, min_size=0, max_size=2, unique_by=lambda rule: rule.port).map(tuple)


class Steps(RuleBasedStateMachine):
    """Every rule does one thing to the house and to the model, and compares the answers."""

    world: World
    make_world: ClassVar[type]

    def __init__(self) -> None:
        super().__init__()
        self.world = self.make_world()
        self.house = self.world.house
        self.run = self.world.runner.run
        self.askers: dict[str, Asker] = {"alice": self.house.alice}
        for name in ("bob", "carol"):
            self.askers[name] = self.run(self.house.add_asker(name, "Owner"))
        # Who is frozen changes nothing for others, so this one never is.
        self.admin = self.run(self.house.add_asker("frank", "Owner"))
        self.model = Model(self.house.clock.wall(), self.house.clock.elapsed())
        self.model.incarnations = {machine.name: machine.uuid for machine in self.house.machines}
        self.every_machine = {machine.name: machine for machine in self.house.machines}
        self.away: dict[str, str] = {}
        self.asked: dict[str, Sequence[str]] = {}
        self.freezes: dict[str, str] = {}
        self.tampered = False
        self.held: set[tuple[str, int, str]] = set()
        everything = tuple(Rule(port, BOTH, "*", timedelta(hours=3)) for port in PORTS)
        self._put_policy("one", dict.fromkeys(self.world.machines, everything))
        self._settle()

    def teardown(self) -> None:
        try:
            self._settle()
        finally:
            self.world.close()

    # --- asking -------------------------------------------------------------------------------------

    @rule(owner=owners, machine=machines, port=ports, protocol=protocols, source=sources, length=numbers)
    def ask(
        self,
        owner: str,
        machine: int,
        port: int,
        protocol: frozenset[str] | None,
        source: Sequence[str],
        length: int,
    ) -> None:
        self._ask(Wish(owner, self._name(machine), port, protocol, _spots(source), length=self._length(length)), source)

    @rule(owner=owners, machine=machines, port=ports, source=sources, length=numbers)
    def ask_and_settle(self, owner: str, machine: int, port: int, source: Sequence[str], length: int) -> None:
        self.ask(owner, machine, port, None, source, length)
        self._settle()

    @rule(owner=owners, machine=machines, port=ports, source=sources, length=numbers)
    def ask_until(self, owner: str, machine: int, port: int, source: Sequence[str], length: int) -> None:
        self._steer_clear()
        end = self.model.now + (self._length(length) or timedelta(0))
        self._ask(Wish(owner, self._name(machine), port, None, _spots(source), end=end), source)

    @rule(machine=machines, port=ports, source=sources, delay=numbers, length=numbers)
    def ask_for_later(self, machine: int, port: int, source: Sequence[str], delay: int, length: int) -> None:
        self._steer_clear()
        start = self.model.now + (self._length(delay) or timedelta(0))
        if start > self.model.now:
            wish = Wish("alice", self._name(machine), port, None, _spots(source), None, self._length(length), start)
            self._ask(wish, source)

    @precondition(lambda self: self.model.promises)
    @rule(owner=owners, which=st.integers(0, 1000), length=numbers)
    def ask_for_the_same_again(self, owner: str, which: int, length: int) -> None:
        promise = self._pick(which)
        names = {incarnation: name for name, incarnation in self.model.incarnations.items()}
        if promise.machine in names:
            name, source = names[promise.machine], self.asked[promise.uid]
            wish = Wish(owner, name, promise.port, promise.protocols, _spots(source), length=self._length(length))
            self._ask(wish, source)

    @precondition(lambda self: self.model.promises)
    @rule(which=st.integers(0, 1000), length=numbers)
    def ask_for_the_same_and_think_better_of_it(self, which: int, length: int) -> None:
        promise, before = self._pick(which), len(self.model.promises)
        self.ask_for_the_same_again(promise.owner, which, length)
        if len(self.model.promises) > before:
            self._close(self.model.promises[-1])

    # --- what can be done with a grant ----------------------------------------------------------------

    @precondition(lambda self: self.model.promises)
    @rule(which=st.integers(0, 1000))
    def close(self, which: int) -> None:
        self._close(self._pick(which))

    @precondition(lambda self: self.model.promises)
    @rule(which=st.integers(0, 1000), length=numbers)
    def extend(self, which: int, length: int) -> None:
        promise = self._pick(which)
        self._steer_clear()
        end = self.model.now + (self._length(length) or timedelta(0))
        given = None if promise.is_live else promise.start
        wish = self._again(promise, promise.spots, end, given)
        can = promise.state != OVER and promise.end is not None and end > promise.end
        expected = self.model.decide(wish) if can else None
        act = grants.extend_grant(self.house.service, self._owner(promise), promise.uid, Span(end=end))
        done = self._is_done(act, expected is not None)
        if done and expected and expected[0].state == promises.PENDING:
            # It waits beside what stands, and will take its place.
            [new] = expected
            new.uid, new.request = done.grant.uid, done.grant.request
            self.asked[new.uid] = self.asked[promise.uid]
            self.model.take([new])
        elif done:
            self.model.set_end(promise, end)

    @precondition(lambda self: self.model.promises)
    @rule(which=st.integers(0, 1000), length=numbers)
    def shorten(self, which: int, length: int) -> None:
        promise = self._pick(which)
        self._steer_clear()
        end = self.model.now + (self._length(length) or timedelta(0))
        can = promise.state != OVER and promise.end is not None and self.model.now < end < promise.end
        act = grants.shorten_grant(self.house.service, self._owner(promise), promise.uid, Span(end=end))
        if self._is_done(act, can):
            self.model.set_end(promise, end)

    @precondition(lambda self: self.model.promises)
    @rule(which=st.integers(0, 1000), source=sources)
    def move(self, which: int, source: Sequence[str]) -> None:
        promise = self._pick(which)
        self._steer_clear()
        wish = self._again(promise, _spots(source), promise.end, None)
        expected = self.model.decide(wish) if promise.is_live else None
        act = grants.move_grant(
            self.house.service, self._owner(promise), promise.uid, prefixes.parse_all(source, "sources")
        )
        moved = self._is_done(act, expected is not None)
        if moved and expected and expected[0].state == promises.PENDING:
            # It waits while the old source stays open, and will take its place.
            [new] = expected
            new.uid, new.request, new.moves = moved.grant.uid, moved.request, promise
            self.asked[new.uid] = source
            self.model.take([new])
        elif moved:
            new = self.model.moved(promise, _spots(source))
            new.uid, new.asked = moved.grant.uid, len(self.model.promises)
            self.asked[new.uid] = source
            promise.successor = new
            self.model.promises.append(new)

    # --- what waits for somebody to agree ---------------------------------------------------------------

    @rule(owner=owners, machine=machines, port=ports, source=sources, length=numbers)
    def break_the_glass(self, owner: str, machine: int, port: int, source: Sequence[str], length: int) -> None:
        wish = Wish(
            owner, self._name(machine), port, None, _spots(source), length=self._length(length), breaks_glass=True
        )
        self._ask(wish, source)

    @precondition(lambda self: self._pending())
    @rule(which=st.integers(0, 1000), by=st.sampled_from(["carol", "carol", "alice", "bob"]))
    def approve(self, which: int, by: str) -> None:
        self._steer_clear()
        asked = self._of_one_request(which)
        expected = self.model.approve(asked, by)
        view = self._said(approvals.approve(self.house.service, self.askers[by], asked[0].request), expected)
        for promise, grant in zip(asked, view.grants if view else (), strict=bool(view)):
            if promise.state != OVER:
                self._take_end(promise, grant.grant)

    @precondition(lambda self: self._pending())
    @rule(which=st.integers(0, 1000), by=st.sampled_from(["carol", "alice", "bob"]))
    def deny(self, which: int, by: str) -> None:
        self._steer_clear()
        asked = self._of_one_request(which)
        waiting = [promise for promise in asked if promise.state == promises.PENDING]
        late = any(at is not None and at <= self.model.now for p in waiting for at in (p.wait_until, p.end))
        can = by != asked[0].owner and by not in self.model.frozen and not late
        if self._said(approvals.deny(self.house.service, self.askers[by], asked[0].request), can):
            for promise in waiting:
                self.model.close(promise)

    @precondition(lambda self: self.model.promises)
    @rule(which=st.integers(0, 1000))
    def withdraw(self, which: int) -> None:
        self._steer_clear()
        promise = self._pick(which)
        asked = [one for one in self.model.promises if one.request == promise.request]
        waiting = [one for one in asked if one.state in (promises.PENDING, promises.SCHEDULED)]
        act = approvals.withdraw(self.house.service, self._owner(promise), promise.request)
        if self._said(act, bool(waiting)):
            for one in waiting:
                self.model.close(one)

    @rule(what=st.sampled_from(["alice", "bob", 0, 1, "everything"]))
    def freeze_and_thaw(self, what: str | int) -> None:
        """Freeze something; or thaw it if it is frozen."""
        self._steer_clear()
        name = what if isinstance(what, str) else self._name(what)
        machine = name if name in self.model.incarnations else None
        if name in self.freezes:
            self.run(freezes.thaw(self.house.service, self.askers["carol"], self.freezes.pop(name), "testing"))
            self.model.frozen.discard(name)
        elif machine or name in ("alice", "bob", "everything"):
            target = Target(machine=machine) if machine else Target(person=name)
            target = Target(scope="/") if name == "everything" else target
            kept = self.run(freezes.freeze(self.house.service, self.askers["carol"], target, "testing"))
            self.freezes[name] = kept.freeze.uid
            self.model.freeze(name)

    # --- what administrators do -----------------------------------------------------------------------

    @rule(name=st.sampled_from(POLICIES), first=parts, second=parts)
    def put_policy(self, name: str, first: tuple[Rule, ...], second: tuple[Rule, ...]) -> None:
        given = dict(zip(self.world.machines, (first, second), strict=False))
        self._put_policy(name, {machine: found for machine, found in given.items() if found})

    @rule(name=st.sampled_from(POLICIES))
    def delete_policy(self, name: str) -> None:
        act = policies.delete_policy(self.house.service, self.admin, policy_id(name))
        existed = self._said(act, not self.model.would_bare(name, {}))
        if existed is None:
            return
        assert existed == (name in self.model.policies)
        self.model.policies.pop(name, None)
        self._disturb()
        self.model.policies_changed()

    @rule(longest=st.sampled_from([None, 1, 2]), approvals=st.sampled_from([0, 0, 0, 1]), observes=st.booleans())
    def put_guardrail(self, longest: int | None, approvals: int, observes: bool) -> None:
        rail = Rail(None if longest is None else timedelta(hours=longest), approvals, observes)
        in_force = self.run(guardrails.put_guardrail(self.house.service, self.admin, _guardrail(rail)))
        if rail.is_looser_than(self.model.rail or Rail()):
            assert not in_force
            self.model.proposed = rail
        else:
            assert in_force
            self.model.rail, self.model.proposed = rail, None
            self._disturb()

    @precondition(lambda self: self.model.proposed is not None)
    @rule()
    def confirm_guardrail(self) -> None:
        self.run(self.house.confirm_guardrail("rail", by=self.askers["carol"]))
        self.model.rail, self.model.proposed = self.model.proposed, None
        self._disturb()

    # --- what happens to machines ---------------------------------------------------------------------

    @precondition(lambda self: self.model.incarnations)
    @rule(machine=machines)
    def remove_machine(self, machine: int) -> None:
        name = self._name(machine)
        if name in self.model.incarnations:
            self.away[name] = self.model.incarnations.pop(name)
            self._take_over()

    @precondition(lambda self: self.away)
    @rule(again=st.booleans())
    def bring_machine_back(self, again: bool) -> None:
        name, uuid = self.away.popitem()
        made = f"{uuid}-again" if again and self.world.can_be_made_again else uuid
        self.model.incarnations[name] = made
        self._take_over()

    @precondition(lambda self: self.world.can_be_made_again and self.model.incarnations)
    @rule(machine=machines)
    def make_machine_again(self, machine: int) -> None:
        name = self._name(machine)
        if name in self.model.incarnations:
            self.model.incarnations[name] += "-again"
            self._take_over()

    # --- what time does -------------------------------------------------------------------------------

    @rule(which=st.integers(0, 100))
    def let_time_pass(self, which: int) -> None:
        self.house.clock.advance(self.world.pauses[which % len(self.world.pauses)])
        self._look()

    @precondition(lambda self: self.model.promises)
    @rule(beyond=st.booleans())
    def wait_for_the_next_deadline(self, beyond: bool) -> None:
        """To the very moment, or just before it."""
        self._look()
        at = self._next_moment()
        if at is not None and timedelta(0) < at - self.model.now <= self.world.pauses[-1]:
            self.house.clock.advance(at - self.model.now - (timedelta(0) if beyond else timedelta(milliseconds=1)))
            self._look()

    @rule(hours=st.sampled_from([-24, -1, 1]))
    def step_the_wall_clock(self, hours: int) -> None:
        self.house.clock.step(timedelta(hours=hours))
        self._look()

    # --- what goes wrong ------------------------------------------------------------------------------

    @rule()
    def crash(self) -> None:
        """The server dies with work undone, and every wake is lost with it."""
        self._crash()

    @rule(after=st.booleans())
    def crash_while_a_firewall_is_asked(self, after: bool) -> None:
        """What the claim had decided is on record; what the firewall did is not."""
        self._steer_clear()
        real = self.house.connectors["memory"]
        self.house.connectors["memory"] = Interrupted(real, Killed(), after=after)
        dying = self.house.make_reconciler("dying", lease_length=self.world.lease)
        for scope in self.run(self.house.due()):
            with contextlib.suppress(Killed):
                self.run(dying.reconcile(scope))
        self.house.connectors["memory"] = real
        self.model.let_time_move()
        self._crash()
        self.house.clock.advance(self.world.lease)
        self._steer_clear()

    @rule(after=st.booleans())
    def fail_for_a_while(self, after: bool) -> None:
        """Every firewall fails, before or after it has done what it was asked."""
        self._steer_clear()
        real = self.house.connectors["memory"]
        self.house.connectors["memory"] = Interrupted(real, ConnectorError("it does not answer"), after=after)
        self.run(self.house.settle())
        self.house.connectors["memory"] = real
        self.model.let_time_move()
        self.model.give_up()
        self.house.clock.advance(self.world.back_off)
        self._settle()

    @rule()
    def flush(self) -> None:
        self.world.flush()
        self.tampered = not self.world.heals_itself

    @rule(seed=st.integers(0, 1000))
    def edit_the_firewall(self, seed: int) -> None:
        self.world.edit(random.Random(seed))
        self.tampered = not self.world.heals_itself

    @rule()
    def restart_the_enforcer(self) -> None:
        self.world.restart()

    # --- what must be so ------------------------------------------------------------------------------

    @rule()
    def settle(self) -> None:
        self._settle()

    @rule()
    def sweep(self) -> None:
        self.run(self.house.store.write(scopes.sweep_all))
        self._settle()

    @invariant()
    def nothing_is_open_past_its_deadline(self) -> None:
        """Settled or not, and whatever has died."""
        if self.tampered or not self.world.is_cheap_to_probe:
            return
        elapsed = self.house.clock.elapsed() - 0.001
        names = {incarnation: name for name, incarnation in self.model.incarnations.items()}
        for probe, passing in self.world.passing(self._probes(self.held)).items():
            machine, port, protocol = probe
            allowed = self.model.may_still_let_in(names[machine], port, protocol, elapsed)
            assert passing <= allowed, f"{probe} is open past every deadline for {passing - allowed}"

    def _settle(self) -> None:
        """Reconcile all that is due; then packets and lists say what the model says.

        Once more where the machine stood still meanwhile: something may have ended that the model took for far away.
        """
        while not self._agrees():
            pass

    def _agrees(self) -> bool:
        self._steer_clear()
        try:
            self._reconcile_and_compare()
        except AssertionError:
            if self.house.clock.elapsed() - self.model.elapsed <= self.world.look_takes.total_seconds():
                raise
            return False
        return True

    def _reconcile_and_compare(self) -> None:
        if self.tampered:
            self.run(self.house.store.write(scopes.sweep_all))
        self.run(self.house.settle())
        self.tampered = False
        self.model.let_time_move()
        self.model.stand()
        self._compare_lists()
        self._compare_packets()
        self.held = {
            (name, port, protocol) for name in self.model.incarnations for port, protocol in self.model.protected(name)
        }

    def _compare_lists(self) -> None:
        page = self.run(grants.list_grants(self.house.service, self.house.alice, limit=1000))
        listed = {view.grant.uid: _LISTED[view.grant.state] for view in page.items}
        assert listed == self.model.listed()
        by_uid = {promise.uid: promise for promise in self.model.promises}
        for view in page.items:
            self._take_end(by_uid[view.grant.uid], view.grant)

    def _compare_packets(self) -> None:
        every = {
            (name, port, protocol)
            for name in self.model.incarnations
            for port in PORTS
            for protocol in self.world.protocols
        }
        assert self.world.holding() <= set(self.model.incarnations.values()), (
            "nothing is left of machines that are gone"
        )
        wanted = {
            (self.model.incarnations[name], port, protocol): self.model.lets_in(name, port, protocol)
            for name, port, protocol in every
        }
        self.world.compare(self._probes(every), wanted)

    # --- parts of these -------------------------------------------------------------------------------

    def _look(self) -> None:
        """The model reads the clocks, and the store agrees about the time."""
        clock, model = self.house.clock, self.model
        while True:
            elapsed, wall = clock.elapsed(), clock.wall()
            now = self.run(self.house.store.write(lambda tx: tx.now))
            if clock.elapsed() - elapsed <= self.world.slack.total_seconds():
                break
        expected = max(model.now + timedelta(seconds=elapsed - model.elapsed), wall)
        model.elapsed, model.now = elapsed, now
        assert abs(model.now - expected) <= self.world.slack, "the store's time never runs backwards, nor stands still"

    def _crash(self) -> None:
        self.house.crash()
        # How much time passes before the next process looks, nobody can tell if the wall clock was set back meanwhile.
        self._look()

    def _steer_clear(self) -> None:
        """Read the clocks; in real time, not while something is about to end, which the model could not foresee."""
        self._look()
        ahead, passed = self.world.look_takes, self.world.look_takes / 6
        while near := [at for at in self._moments() if -passed < at - self.model.now < ahead]:
            self.house.clock.advance(max(near) - self.model.now + passed)
            self._look()

    def _moments(self) -> list[datetime]:
        live = [p for p in self.model.promises if p.state != OVER]
        return [at for p in live for at in (p.start, p.end, p.wait_until) if at is not None]

    def _next_moment(self) -> datetime | None:
        return min((at for at in self._moments() if at > self.model.now), default=None)

    def _probes(self, ports: set[tuple[str, int, str]]) -> list[Probe]:
        known = self.model.incarnations
        return [(known[name], port, protocol) for name, port, protocol in sorted(ports) if name in known]

    def _name(self, machine: int) -> str:
        return self.world.machines[machine % len(self.world.machines)]

    def _length(self, which: int) -> timedelta | None:
        """One of the lengths; None now and then."""
        return self.world.lengths[which] if which < len(self.world.lengths) else None

    def _pick(self, which: int) -> Promise:
        """Any promise, mostly one that is not over."""
        lasting = [promise for promise in self.model.promises if promise.state != OVER]
        chosen = self.model.promises if which % 5 == 0 or not lasting else lasting
        return chosen[which % len(chosen)]

    def _pending(self) -> list[Promise]:
        return [promise for promise in self.model.promises if promise.state == promises.PENDING]

    def _of_one_request(self, which: int) -> list[Promise]:
        """What was asked for together, of which something waits."""
        waiting = self._pending()
        request = waiting[which % len(waiting)].request
        return [promise for promise in self.model.promises if promise.request == request]

    def _said(self, act: Coroutine[Any, Any, T], expected: bool) -> T | None:
        try:
            done: T = self.run(act)
        except (*REFUSALS, Forbidden):
            assert not expected, "refused, though nothing speaks against it"
            return None
        assert expected, "done, though something speaks against it"
        return done

    def _owner(self, promise: Promise) -> Asker:
        return self.askers[promise.owner]

    def _ask(self, wish: Wish, source: Sequence[str]) -> None:
        self.house.clock.advance(self.world.tick)
        self._steer_clear()
        expected = self.model.decide(wish)
        try:
            view = self.run(
                requests.request_access(self.house.service, self.askers[wish.owner], self._ask_of(wish, source))
            )
        except REFUSALS:
            assert expected is None, "refused, though a policy allows it"
            return
        assert expected is not None, "granted, though no policy allows it"
        given = [one.grant for one in view.grants]
        assert [set(map(str, grant.protocol.each)) for grant in given] == [set(p.protocols) for p in expected]
        for promise, grant in zip(expected, given, strict=True):
            promise.uid, promise.request = grant.uid, grant.request
            self.asked[grant.uid] = source
            self._take_end(promise, grant)
        self.model.take(expected)

    def _close(self, promise: Promise) -> None:
        self._steer_clear()
        self.run(grants.close_grant(self.house.service, self._owner(promise), promise.uid))
        if promise.state != OVER:
            self.model.close(promise)

    def _take_end(self, promise: Promise, grant: Grant) -> None:
        """The end to the microsecond; the model knows it as well as its clock goes."""
        assert (promise.end is None) == (grant.end is None)
        if promise.end is not None and grant.end is not None:
            assert abs(promise.end - grant.end) <= self.world.slack
            promise.end = grant.end

    def _is_done(self, act: Coroutine[Any, Any, GrantView], expected: bool) -> GrantView | None:
        try:
            done: GrantView = self.run(act)
        except REFUSALS:
            assert not expected, "refused, though nothing speaks against it"
            return None
        assert expected, "done, though something speaks against it"
        return done

    def _again(self, promise: Promise, spots: frozenset[str], end: datetime | None, start: datetime | None) -> Wish:
        names = {incarnation: name for name, incarnation in self.model.incarnations.items()}
        machine = names.get(promise.machine, "")
        return Wish(promise.owner, machine, promise.port, promise.protocols, spots, end=end, start=start)

    def _ask_of(self, wish: Wish, source: Sequence[str]) -> Ask:
        length = Duration(iso(wish.length), wish.length) if wish.length else None
        span = Span(end=wish.end, duration=length) if wish.end or length else None
        protocol = None if wish.protocols is None else _protocol(wish.protocols)
        port = PortAsk(wish.port, prefixes.parse_all(source, "sources"), span, protocol)
        wanted = (MachineAsk(self._machine_id(wish.machine), (port,)),)
        return Ask(wanted, "testing", None, wish.start, wish.breaks_glass)

    def _machine_id(self, name: str) -> MachineId:
        return parse_machine_id(self.every_machine[name].id, "machine")

    def _put_policy(self, name: str, given: dict[str, tuple[Rule, ...]]) -> None:
        given = {machine: found for machine, found in given.items() if machine in self.model.incarnations}
        made = tuple(
            MachinePolicy(self._machine_id(machine), tuple(map(_port_rule, found))) for machine, found in given.items()
        )
        act = policies.put_policy(self.house.service, self.admin, Policy(policy_id(name), made), force=True)
        if self._said(act, not self.model.would_bare(name, given)) is None:
            return
        self.model.policies[name] = given
        self._disturb()
        self.model.policies_changed()

    def _take_over(self) -> None:
        known = self.every_machine
        self.house.machines = [
            replace(known[name], uuid=uuid) for name, uuid in sorted(self.model.incarnations.items())
        ]
        self.run(self.house.discover())
        self._disturb()
        self.model.policies_changed()

    def _disturb(self) -> None:
        """Which ports are protected may have changed: until it has settled nothing is said of unsettled packets."""
        self.held = set()


def _spots(source: Sequence[str]) -> frozenset[str]:
    return frozenset[str]().union(*(SOURCES[text] for text in source))


def _protocol(wanted: frozenset[str]) -> Protocol:
    return Protocol.ANY if wanted == BOTH else Protocol(next(iter(wanted)))


def _port_rule(rule: Rule) -> PortRule:
    allowed = prefixes.parse_all([rule.source], "sources")
    longest = Duration(iso(rule.longest), rule.longest)
    return PortRule(rule.port, _protocol(rule.protocols), allowed, (rule.source,), longest)


def _guardrail(rail: Rail) -> Guardrail:
    enforcement = Enforcement.OBSERVE if rail.observes else None
    return Guardrail("rail", Selector(), Limits(rail.approvals, max_duration=rail.longest, enforcement=enforcement))
