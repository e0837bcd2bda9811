"""The promises of a connector, each a test. What a firewall cannot do is said by its stage and its capabilities."""

import json
from collections.abc import Mapping
from datetime import datetime

from jitgate.connectors.base import CloudConnector, GenerationBehind
from jitgate.core.desired import AccessKey, Protocol
from jitgate.core.resource_id import parse_machine_id
from jitgate.testing.contract.reconciling import Reconciling
from jitgate.testing.contract.stage import Killed, Stage

TCP, UDP = Protocol.TCP, Protocol.UDP
VERBS = {"protect", "release", "open", "shut", "cut", "…"}
LASTING = 100
"""Hours after which something ends that no test waits for."""
MOST_MOMENTS = 120


class ConnectorContract:
    """Subclass it, with a fixture `stage`."""

    # --- machines and plans ---------------------------------------------------------------------------

    def test_machines_are_told_the_same_each_time_and_looking_changes_nothing(self, stage: Stage) -> None:
        before = stage.ours(), stage.others()
        first = stage.run(stage.connector.discover())
        again = stage.run(stage.connector.discover())
        assert list(first) == list(again), "what has not changed is told alike"
        assert len({machine.uuid for machine in first}) == len(first), "each machine has a uuid of its own"
        for machine in first:
            assert machine.connector == stage.connector.name, f"{machine.name} is told under the connector's own name"
            assert machine.scope or machine.unsupported, f"{machine.name} stands behind a firewall, or why it does not"
            parse_machine_id(machine.id, "machine")
        assert (stage.ours(), stage.others()) == before, "discover changes nothing"

    def test_a_plan_changes_nothing_and_can_be_read(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        before = stage.ours(), stage.others()
        plan = hands.plan(hands.wanted({hands.key(stage.sources.alice): hands.end(LASTING)}))
        assert (stage.ours(), stage.others()) == before, "plan changes nothing"
        assert {step.verb for step in plan.steps} <= VERBS, f"the verbs of steps are {', '.join(sorted(VERBS))}"
        assert any(stage.sources.alice in step.what for step in plan.steps), "a step says who is let in"
        json.dumps([dict(plan.memory), [each.original for each in (*plan.alterations, *plan.waiting)]])

    # --- opening and shutting -------------------------------------------------------------------------

    def test_a_protected_port_is_shut_to_everybody(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        assert stage.reaches(stage.ports[0], TCP, stage.sources.alice) is stage.is_open, (
            "as the stage says, before anything is protected"
        )
        report = hands.have(hands.wanted({}))
        assert not self._reached(stage, stage.sources.alice, stage.sources.bob, stage.sources.alice6)
        assert not stage.reaches(stage.ports[0], UDP, stage.sources.alice), "UDP is protected as well"
        assert stage.reaches(stage.ports[1], TCP, stage.sources.alice) is stage.is_open, "another port is left alone"
        assert not (stage.proves_shut and any(report.protected.values())), (
            f"nothing is said to be in the way: {report.protected}"
        )

    def test_it_opens_for_the_source_that_was_let_in_and_no_other(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        sources = [source for source in (stage.sources.alice, stage.sources.alice6) if source]
        hands.have(hands.wanted({hands.key(source): hands.end(LASTING) for source in sources}))
        assert self._reached(stage, *sources) == sources
        assert not self._reached(stage, stage.sources.bob, stage.sources.near, stage.sources.bob6)
        assert not stage.reaches(stage.ports[0], UDP, stage.sources.alice), "TCP was asked for, not UDP"

    def test_a_report_answers_for_every_key_that_was_asked_about(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        end = hands.end(LASTING)
        opened, shut = hands.key(stage.sources.alice), hands.key(stage.sources.bob)
        wanted = hands.wanted({opened: end, shut: None})
        report = hands.have(wanted)
        assert (report.scope, report.generation) == (wanted.scope, wanted.generation)
        assert opened in report.standing or opened in report.refused, "what is to be open stands, or was refused"
        assert report.standing.get(opened, end) >= end, "a firewall says an end that is not before the one asked for"
        assert shut in report.shut, "what is to be shut is said to be shut"
        assert not set(report.standing) & (set(report.shut) | set(report.refused)), "a key has one fate"
        assert set(wanted.protected) <= set(report.protected), "each protected port is spoken of"
        assert report.complete, "a whole value is answered by a report of the whole"

    def test_a_source_is_shut_while_another_stays(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        alice, bob = hands.key(stage.sources.alice), hands.key(stage.sources.bob)
        hands.have(hands.wanted({alice: hands.end(LASTING), bob: hands.end(LASTING)}))
        report = hands.have(hands.wanted({alice: hands.end(LASTING), bob: None}))
        assert self._reached(stage, stage.sources.alice, stage.sources.bob) == [stage.sources.alice]
        assert bob in report.shut

    def test_overlapping_sources_stand_side_by_side_each_until_its_own_end(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        wide, narrow = hands.key(stage.sources.wide), hands.key(stage.sources.alice)
        ends = {wide: hands.end(1), narrow: hands.end(2)}
        hands.have(hands.wanted(ends))
        assert self._reached(stage, stage.sources.alice, stage.sources.near, stage.sources.bob) == [
            stage.sources.alice,
            stage.sources.near,
        ]
        self._pass_hours(stage, hands, 1, ends)
        assert self._reached(stage, stage.sources.alice, stage.sources.near) == [stage.sources.alice]
        self._pass_hours(stage, hands, 1, ends)
        assert not self._reached(stage, stage.sources.alice, stage.sources.near)

    def test_an_end_can_be_moved_both_ways(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        alice = hands.key(stage.sources.alice)
        for hours in (1, 3, 2):
            end = hands.end(hours)
            report = hands.have(hands.wanted({alice: end}))
            assert report.standing.keys() == {alice}
        self._pass_hours(stage, hands, 1, {alice: end})
        assert self._reached(stage, stage.sources.alice) == [stage.sources.alice], (
            "extended, it is open after its first end"
        )
        self._pass_hours(stage, hands, 1, {alice: end})
        assert not self._reached(stage, stage.sources.alice)

    def test_an_end_that_has_passed_opens_nothing(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        alice = hands.key(stage.sources.alice)
        report = hands.have(hands.wanted({alice: hands.end(0)}))
        assert not self._reached(stage, stage.sources.alice)
        assert alice not in report.standing

    def test_what_claims_a_deadline_of_its_own_shuts_with_every_process_dead(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        report = hands.have(hands.wanted({hands.key(stage.sources.alice): hands.end(1)}))
        if report.capabilities.own_deadline:
            stage.clock.advance(stage.hour)
            assert not self._reached(stage, stage.sources.alice)

    # --- again, after a crash, after others -----------------------------------------------------------

    def test_what_stands_already_stands_as_it_did(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        access: Mapping[AccessKey, datetime | None] = {
            hands.key(stage.sources.alice): hands.end(LASTING),
            hands.key(stage.sources.wide): hands.end(2 * LASTING),
        }
        first = hands.have(hands.wanted(access))
        stood = stage.ours()
        again = hands.have(hands.wanted(access))
        assert stage.ours() == stood, "carried out twice, it stands once"
        assert again.standing == first.standing
        assert not again.repaired, "nothing was amiss"

    def test_a_new_process_finds_what_stands_and_leaves_it(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        access: Mapping[AccessKey, datetime | None] = {hands.key(stage.sources.alice): hands.end(LASTING)}
        hands.have(hands.wanted(access))
        stood, machine = stage.ours(), hands.machine
        hands.restart()
        assert hands.machine.uuid == machine.uuid, "a machine keeps its uuid from one process to the next"
        hands.have(hands.wanted(access))
        assert stage.ours() == stood

    def test_a_process_that_dies_at_any_write_is_followed_by_one_that_makes_it_right(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        before, others = stage.ours(), stage.others()
        knocking = [stage.sources.alice, stage.sources.near, stage.sources.bob]
        for moment in range(1, MOST_MOMENTS, stage.moments_apart):
            opening = {
                hands.key(stage.sources.alice): hands.end(LASTING),
                hands.key(stage.sources.wide): hands.end(2 * LASTING),
            }
            died = self._dies(stage, hands, moment, opening)
            hands.have(hands.wanted(opening))
            assert self._reached(stage, *knocking) == knocking[:2]
            died = self._dies(stage, hands, moment, dict.fromkeys(opening)) or died
            hands.have(hands.wanted({}))
            assert not self._reached(stage, *knocking)
            died = self._dies(stage, hands, moment, {}, ports=()) or died
            hands.have(hands.wanted({}, ports=()))
            assert (stage.ours(), stage.others()) == (before, others), f"death at moment {moment} leaves nothing behind"
            if not died:
                return
        raise AssertionError(f"one small change takes more than {MOST_MOMENTS // 2} writes")

    def test_what_another_hand_took_away_is_put_back(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        access: Mapping[AccessKey, datetime | None] = {hands.key(stage.sources.alice): hands.end(LASTING)}
        hands.have(hands.wanted(access))
        stage.wipe()
        report = hands.have(hands.wanted(access))
        assert self._reached(stage, stage.sources.alice, stage.sources.bob) == [stage.sources.alice]
        assert bool(report.repaired) is stage.tells_repairs, f"what is said of it: {report.repaired}"

    def test_an_older_generation_is_refused_where_the_firewall_can_tell(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        hands.have(hands.wanted({}, generation=7))
        if not stage.fences:
            return
        try:
            hands.have(hands.wanted({hands.key(stage.sources.alice): hands.end(LASTING)}, generation=6))
        except GenerationBehind as refused:
            held = refused.current
        else:
            raise AssertionError("generation 6 was taken after generation 7")
        assert held == 7, "it says which generation it holds"
        assert not self._reached(stage, stage.sources.alice)

    # --- ours and others' -----------------------------------------------------------------------------

    def test_rules_of_others_are_as_they_were_all_along(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        others = stage.others()
        for access in (
            {},
            {hands.key(stage.sources.alice): hands.end(LASTING)},
            {hands.key(stage.sources.alice): None},
        ):
            hands.have(hands.wanted(access))
            assert stage.others() == others, "without consent nothing of others is touched"

    def test_what_a_whole_value_does_not_list_is_shut_and_let_go(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        before = stage.ours(), stage.others()
        hands.have(hands.wanted({hands.key(stage.sources.alice): hands.end(LASTING)}))
        report = hands.have(hands.wanted({}, ports=()))
        assert not report.standing
        assert (stage.ours(), stage.others()) == before, "nothing of ours is left"
        assert stage.reaches(stage.ports[0], TCP, stage.sources.alice) is stage.is_open

    def test_what_a_part_does_not_speak_of_stays(self, stage: Stage) -> None:
        hands = Reconciling(stage)
        alice, bob = hands.key(stage.sources.alice), hands.key(stage.sources.bob, stage.ports[1])
        hands.have(hands.wanted({alice: hands.end(LASTING)}, ports=stage.ports))
        part = {bob: hands.end(LASTING)} | (
            {} if stage.connector.whole_ports else {hands.key(stage.sources.near): hands.end(LASTING)}
        )
        hands.have(hands.wanted(part, complete=False))
        assert stage.reaches(stage.ports[0], TCP, stage.sources.alice)
        assert stage.reaches(stage.ports[1], TCP, stage.sources.bob)
        assert not stage.reaches(stage.ports[1], TCP, stage.sources.alice)
        assert stage.reaches(stage.ports[0], TCP, stage.sources.near) is not stage.connector.whole_ports

    # --- below ----------------------------------------------------------------------------------------

    def _reached(self, stage: Stage, *sources: str) -> list[str]:
        """Those who get through to the first port by TCP."""
        return [source for source in sources if source and stage.reaches(stage.ports[0], TCP, source)]

    def _pass_hours(self, stage: Stage, hands: Reconciling, hours: float, ends: Mapping[AccessKey, datetime]) -> None:
        """Let time pass, and have the reconciler look when something ends."""
        stage.clock.advance(hours * stage.hour)
        now = stage.clock.wall()
        hands.have(hands.wanted({key: end if end > now else None for key, end in ends.items()}))

    def _dies(
        self,
        stage: Stage,
        hands: Reconciling,
        moment: int,
        access: Mapping[AccessKey, datetime | None],
        ports: tuple[int, ...] | None = None,
    ) -> bool:
        """Carry it out, and die at one moment. False: there were not so many."""
        try:
            with stage.die_at(moment):
                hands.have(hands.wanted(access, ports=ports))
        except Killed:
            hands.restart()
            return True
        return False


class CloudContract(ConnectorContract):
    """The same for a connector that an administrator adds."""

    def test_it_lacks_no_permission_where_it_has_all(self, stage: Stage) -> None:
        connector: CloudConnector = stage.connector  # type: ignore[assignment]
        assert not stage.run(connector.missing_permissions())

    def test_it_can_be_closed_after_it_was_used(self, stage: Stage) -> None:
        connector: CloudConnector = stage.connector  # type: ignore[assignment]
        Reconciling(stage)
        stage.run(connector.close())
        stage.restart()
