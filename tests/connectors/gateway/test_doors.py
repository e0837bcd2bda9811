"""Who may come in, and until when: the gateway listens only for a grant, and lets in only its sources."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.connectors.gateway.scene import ALICE, BEHIND6, BOB, SIX, UUID6, Echo, Scene, echoes, is_cut, is_reset, until
from tests.stalls import Stalls

from jitgate.connectors.base import ConnectorError, GenerationBehind
from jitgate.connectors.gateway.roster import Target
from jitgate.core.desired import AccessKey, PortKey, Protocol, SessionEnd
from jitgate.core.prefixes import canonical


def test_nothing_listens_until_somebody_has_a_grant_and_nothing_does_afterwards(scene: Scene) -> None:
    assert not scene.listens(scene.mapped)
    report = scene.open(ALICE)
    assert set(report.standing) == {scene._key(ALICE)}
    assert scene.is_let_in(ALICE)
    report = scene.shut(ALICE)
    assert report.shut == {scene._key(ALICE)}
    assert not scene.listens(scene.mapped)


def test_only_the_granted_source_is_let_in_and_the_machine_never_sees_the_others(scene: Scene) -> None:
    scene.open(ALICE)
    assert scene.is_reset_at_once(BOB)
    assert scene.target.accepted == []
    assert scene.is_let_in(ALICE)


def test_wide_and_narrow_sources_stand_side_by_side_each_with_its_own_end(scene: Scene) -> None:
    scene.open("127.0.0.0/30", seconds=60)
    scene.open(ALICE, seconds=0.3)
    assert scene.is_let_in(BOB)
    until(lambda: len(scene.sync().standing) == 1)
    assert scene.is_let_in(ALICE)
    scene.shut("127.0.0.0/30")
    assert not scene.is_let_in(ALICE)


def test_an_ipv6_source_reaches_an_ipv6_machine(tmp_path: Path) -> None:
    target = Echo(BEHIND6)
    with Scene(tmp_path, target, targets=(Target("win-6", UUID6, BEHIND6),)) as scene:
        scene.key = PortKey(UUID6, target.port, Protocol.TCP)
        scene.open("2001:db8::/32")
        assert not scene.is_let_in(SIX)
        scene.open(SIX)
        assert scene.is_let_in(SIX)


def test_a_port_shuts_at_its_deadline_with_nobody_asking(scene: Scene) -> None:
    mapped = scene.mapped
    scene.open(ALICE)
    assert scene.is_let_in(ALICE)
    with Stalls() as stalls:
        began = scene.clock.elapsed()
        scene.open(ALICE, seconds=0.4)
        until(lambda: not scene.listens(mapped))
        took = scene.clock.elapsed() - began
    assert took < 0.6 + stalls.seconds


def test_time_on_the_way_is_taken_off_so_that_it_errs_early(scene: Scene) -> None:
    mapped = scene.mapped
    scene.access[scene._key(ALICE)] = scene.clock.wall() + timedelta(minutes=10)
    scene.sync(late=300)
    assert scene.listens(mapped)
    scene.access[scene._key(ALICE)] = scene.clock.wall() + timedelta(minutes=10)
    scene.sync(late=599.8)
    until(lambda: not scene.listens(mapped))


@pytest.mark.parametrize("by", [timedelta(minutes=10), timedelta(minutes=-10)])
def test_a_wall_clock_that_is_set_lengthens_nothing(scene: Scene, by: timedelta) -> None:
    mapped = scene.mapped
    scene.open(ALICE, seconds=0.5)
    scene.clock.step(by)
    scene.sync(at=scene.clock.wall() if by < timedelta(0) else scene.clock.wall() - by)
    until(lambda: not scene.listens(mapped))


def test_a_kept_session_outlives_the_expiry_and_not_a_revoke(scene: Scene) -> None:
    scene.open(ALICE)
    with scene.connect(ALICE) as kept:
        assert echoes(kept)
        scene.open(ALICE, seconds=0.1)
        until(lambda: not scene.sync().standing)
        assert echoes(kept)
        scene.shut(ALICE, cut=True)
        assert is_cut(kept)


def test_a_session_that_ends_with_its_grant_is_reset_on_both_sides(scene: Scene) -> None:
    scene.session = SessionEnd.END
    scene.open(ALICE)
    with scene.connect(ALICE) as client:
        assert echoes(client)
        scene.open(ALICE, seconds=0.2)
        assert is_reset(client)
    until(lambda: all(each.fileno() == -1 or is_cut(each) for each in scene.target.accepted))


def test_an_extension_leaves_no_gap_for_sessions_that_end(scene: Scene) -> None:
    scene.session = SessionEnd.END
    scene.open(ALICE)
    with scene.connect(ALICE) as client:
        assert echoes(client)
        scene.open(ALICE, seconds=4)
        scene.open(ALICE, seconds=60)
        assert not is_cut(client, 4.2)
        assert echoes(client)
        assert scene.is_let_in(ALICE)


def test_an_early_close_of_one_of_two_grants_leaves_the_other_and_its_session(scene: Scene) -> None:
    scene.session = SessionEnd.END
    scene.open(ALICE, BOB)
    with scene.connect(ALICE) as alice, scene.connect(BOB) as bob:
        scene.shut(ALICE, cut=True)
        assert is_cut(alice)
        assert echoes(bob)


def test_a_revoke_spares_a_session_that_another_grant_covers(scene: Scene) -> None:
    scene.open(ALICE, "127.0.0.0/24")
    with scene.connect(ALICE) as client:
        scene.shut(ALICE, cut=True)
        assert echoes(client)


def test_an_older_generation_is_refused_and_changes_nothing(scene: Scene) -> None:
    scene.open(ALICE)
    scene.generation -= 2
    scene.access = {}
    with pytest.raises(GenerationBehind) as refused:
        scene.sync()
    assert refused.value.current == scene.generation + 1
    scene.generation += 1
    scene.access = {scene._key(ALICE): scene.clock.wall() + timedelta(seconds=60)}
    assert scene.is_let_in(ALICE)


def test_another_scope_is_refused(scene: Scene) -> None:
    with pytest.raises(ConnectorError, match="this is scope gateway/edge"):
        scene.sync(scope="gateway/other")


def test_udp_is_refused_with_the_reason_and_tcp_beside_it_opens(scene: Scene) -> None:
    udp = AccessKey(scene.key.machine, scene.key.port, Protocol.UDP, canonical(ALICE))
    scene.access[udp] = scene.clock.wall() + timedelta(seconds=60)
    report = scene.open(ALICE)
    assert "relays TCP only" in report.refused[udp]
    assert set(report.standing) == {scene._key(ALICE)}


def test_what_is_not_listed_any_more_is_shut_by_a_complete_state(scene: Scene) -> None:
    mapped = scene.mapped
    scene.open(ALICE)
    scene.access = {}
    report = scene.sync()
    assert report.complete
    assert report.standing == {}
    assert not scene.listens(mapped)


def test_a_state_that_tells_of_a_part_leaves_the_rest(scene: Scene) -> None:
    scene.open(ALICE)
    end = scene.clock.wall() + timedelta(seconds=60)
    access = {scene._key(BOB): end}
    report = scene.sync(access=access, complete=False, machines=frozenset(), protected={})
    assert set(report.standing) == {scene._key(BOB)}
    assert set(scene.post.sync(scene.desired(access={}, complete=False), 0.0).standing) == set()
    assert scene.is_let_in(ALICE)
