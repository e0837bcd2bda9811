"""The in-memory connector keeps the promises of a real firewall, and breaks them only when it is told to."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from jitgate.clock import ManualClock
from jitgate.connectors.base import ConnectorError, Done, GenerationBehind, Pending, Report
from jitgate.connectors.memory import MemoryConnector
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix

SCOPE = "memory/web"
SSH = PortKey("web", 22, Protocol.TCP)
START = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALICE, BOB = "203.0.113.7", "203.0.113.8"


def key(prefix: str = f"{ALICE}/32") -> AccessKey:
    return AccessKey("web", 22, Protocol.TCP, Prefix(prefix))


def desired(
    access: Mapping[AccessKey, datetime | None],
    *,
    generation: int = 1,
    session: SessionEnd = SessionEnd.KEEP,
    cut: Mapping[AccessKey, datetime] | None = None,
    complete: bool = False,
) -> Desired:
    protected = {SSH: Protection(session)}
    return Desired(SCOPE, generation, START, frozenset({"web"}), protected, access, cut or {}, complete)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def firewall(clock: ManualClock) -> MemoryConnector:
    return MemoryConnector(clock)


async def apply(firewall: MemoryConnector, wanted: Desired) -> Report:
    outcome = await firewall.apply(await firewall.plan(wanted, {}))
    assert isinstance(outcome, Done)
    return outcome.report


async def test_a_protected_port_opens_for_one_source_alone(firewall: MemoryConnector, clock: ManualClock) -> None:
    report = await apply(firewall, desired({key(): clock.wall() + HOUR}))
    assert report.standing == {key(): clock.wall() + HOUR}
    assert firewall.reaches(SCOPE, SSH, ALICE)
    assert not firewall.reaches(SCOPE, SSH, BOB)
    assert not firewall.reaches(SCOPE, SSH, "2001:db8::7")


async def test_a_port_shuts_at_its_deadline_though_nobody_asks(firewall: MemoryConnector, clock: ManualClock) -> None:
    await apply(firewall, desired({key(): clock.wall() + HOUR}))
    clock.advance(HOUR)
    assert not firewall.reaches(SCOPE, SSH, ALICE)
    assert not firewall.standing(SCOPE)


async def test_a_stepped_wall_clock_lengthens_nothing(firewall: MemoryConnector, clock: ManualClock) -> None:
    wanted = desired({key(): clock.wall() + HOUR})
    await apply(firewall, wanted)
    clock.advance(HOUR / 2)
    clock.step(-HOUR)
    await apply(firewall, wanted)
    clock.advance(HOUR / 2)
    assert not firewall.reaches(SCOPE, SSH, ALICE)


async def test_an_end_that_has_passed_is_reported_shut(firewall: MemoryConnector, clock: ManualClock) -> None:
    report = await apply(firewall, desired({key(): clock.wall()}))
    assert report.shut == {key()}
    assert not report.standing


async def test_an_earlier_end_holds_as_well_as_a_later_one(firewall: MemoryConnector, clock: ManualClock) -> None:
    start = clock.wall()
    for end in (start + HOUR, start + 2 * HOUR, start + HOUR / 2):
        report = await apply(firewall, desired({key(): end}))
        assert report.standing == {key(): end}
    clock.advance(HOUR / 2)
    assert not firewall.reaches(SCOPE, SSH, ALICE)


async def test_a_host_inside_an_open_prefix_outlives_it(firewall: MemoryConnector, clock: ManualClock) -> None:
    wide = key("203.0.113.0/24")
    await apply(firewall, desired({wide: clock.wall() + HOUR, key(): clock.wall() + 2 * HOUR}))
    clock.advance(HOUR)
    assert firewall.reaches(SCOPE, SSH, ALICE)
    assert not firewall.reaches(SCOPE, SSH, BOB)


async def test_what_a_complete_value_does_not_list_is_shut_and_released(
    firewall: MemoryConnector, clock: ManualClock
) -> None:
    await apply(firewall, desired({key(): clock.wall() + HOUR}))
    report = await apply(firewall, Desired(SCOPE, 2, clock.wall(), frozenset(), {}, {}, complete=True))
    assert report.complete
    assert not report.standing
    assert not report.protected
    assert firewall.reaches(SCOPE, SSH, BOB)


async def test_what_a_partial_value_does_not_list_stays(firewall: MemoryConnector, clock: ManualClock) -> None:
    other = key(f"{BOB}/32")
    await apply(firewall, desired({key(): clock.wall() + HOUR}))
    report = await apply(firewall, desired({other: clock.wall() + HOUR}, generation=2))
    assert set(report.standing) == {other}
    assert firewall.reaches(SCOPE, SSH, ALICE)


async def test_an_older_generation_is_refused_and_told_the_newer(firewall: MemoryConnector, clock: ManualClock) -> None:
    await apply(firewall, desired({}, generation=7))
    with pytest.raises(GenerationBehind) as refused:
        await apply(firewall, desired({key(): clock.wall() + HOUR}, generation=6))
    assert refused.value.current == 7
    assert not firewall.reaches(SCOPE, SSH, ALICE)


@pytest.mark.parametrize(("session", "goes_on"), [(SessionEnd.KEEP, True), (SessionEnd.END, False)])
async def test_a_session_outlives_its_grant_only_where_it_may(
    firewall: MemoryConnector, clock: ManualClock, session: SessionEnd, goes_on: bool
) -> None:
    await apply(firewall, desired({key(): clock.wall() + HOUR}, session=session))
    connection = firewall.connect(SCOPE, SSH, ALICE)
    assert connection is not None
    clock.advance(HOUR)
    assert firewall.carries(SCOPE, connection) is goes_on


async def test_a_revoke_cuts_a_kept_session_unless_another_grant_covers_it(
    firewall: MemoryConnector, clock: ManualClock
) -> None:
    later = clock.wall() + HOUR
    wide = key("203.0.113.0/24")
    await apply(firewall, desired({key(): later, wide: later}))
    connection = firewall.connect(SCOPE, SSH, ALICE)
    assert connection is not None
    await apply(firewall, desired({key(): None}, cut={key(): later}))
    assert firewall.carries(SCOPE, connection)
    await apply(firewall, desired({wide: None}, cut={wide: later}))
    assert not firewall.carries(SCOPE, connection)


async def test_a_key_that_is_refused_says_why_and_stays_shut(firewall: MemoryConnector, clock: ManualClock) -> None:
    firewall.refuse(key(), "no room for another rule")
    report = await apply(firewall, desired({key(): clock.wall() + HOUR}))
    assert report.refused == {key(): "no room for another rule"}
    assert not firewall.reaches(SCOPE, SSH, ALICE)


async def test_a_failed_call_does_nothing_and_the_next_one_works(firewall: MemoryConnector, clock: ManualClock) -> None:
    wanted = desired({key(): clock.wall() + HOUR})
    firewall.fail_next()
    with pytest.raises(ConnectorError):
        await apply(firewall, wanted)
    assert firewall.reaches(SCOPE, SSH, BOB), "nothing was protected"
    await apply(firewall, wanted)
    assert not firewall.reaches(SCOPE, SSH, BOB)


async def test_a_lost_answer_leaves_what_was_done_and_repeating_is_safe(
    firewall: MemoryConnector, clock: ManualClock
) -> None:
    wanted = desired({key(): clock.wall() + HOUR})
    firewall.fail_next(after=True)
    with pytest.raises(ConnectorError):
        await apply(firewall, wanted)
    assert firewall.reaches(SCOPE, SSH, ALICE)
    assert (await apply(firewall, wanted)).standing == {key(): clock.wall() + HOUR}


async def test_a_slow_firewall_says_when_to_ask_again(firewall: MemoryConnector, clock: ManualClock) -> None:
    firewall.delay_next(timedelta(minutes=5))
    outcome = await firewall.apply(await firewall.plan(desired({key(): clock.wall() + HOUR}), {}))
    assert outcome == Pending(clock.wall() + timedelta(minutes=5))
    assert not firewall.standing(SCOPE)


async def test_what_a_stranger_removed_is_put_back_and_told_once(firewall: MemoryConnector, clock: ManualClock) -> None:
    wanted = desired({key(): clock.wall() + HOUR}, complete=True)
    await apply(firewall, wanted)
    firewall.flush(SCOPE)
    assert firewall.reaches(SCOPE, SSH, BOB)
    report = await apply(firewall, wanted)
    assert report.repaired
    assert not firewall.reaches(SCOPE, SSH, BOB)
    assert not (await apply(firewall, wanted)).repaired


async def test_a_plan_changes_nothing_and_can_be_read(firewall: MemoryConnector, clock: ManualClock) -> None:
    plan = await firewall.plan(desired({key(): clock.wall() + HOUR, key(f"{BOB}/32"): None}), {})
    assert [step.verb for step in plan.steps] == ["shut", "protect", "open"]
    assert not firewall.standing(SCOPE)
