"""What is held and what a state changes of it, without a kernel."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.connectors.hosts.scene import MACHINE, PORT, SCOPE, key, port_key

from jitgate.connectors.hosts.changes import Difference, Now, difference, with_time_left
from jitgate.connectors.hosts.mirror import Mirror
from jitgate.connectors.hosts.table import Held, Purpose, fill
from jitgate.core.desired import AccessKey, Desired
from jitgate.core.prefixes import Prefix, of_address

START = datetime(2030, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def change(mirror: Mirror, asked: dict[AccessKey, datetime | None], wall: float, elapsed: float) -> Difference:
    desired = Desired(SCOPE, 1, at(wall), frozenset({MACHINE}), {}, asked)
    found = difference(desired, MACHINE, mirror, Now(at(wall), elapsed))
    for purpose in Purpose:
        mirror.record(purpose, found.of(purpose))
    return found


@pytest.mark.parametrize("stepped", [-3600, -1, 0, 30])
def test_the_same_end_never_changes_its_deadline(stepped: float) -> None:
    """Case CK1."""
    mirror = Mirror()
    change(mirror, {key("10.0.0.1/32"): at(100)}, wall=0, elapsed=5)
    assert not change(mirror, {key("10.0.0.1/32"): at(100)}, wall=20 + stepped, elapsed=25)
    assert mirror.held(Purpose.OPEN)[key("10.0.0.1/32")].deadline == 105


def test_closing_and_asking_again_for_the_same_end_gives_no_more_time() -> None:
    mirror = Mirror()
    change(mirror, {key("10.0.0.1/32"): at(100)}, wall=0, elapsed=0)
    change(mirror, {key("10.0.0.1/32"): None}, wall=50, elapsed=50)
    change(mirror, {key("10.0.0.1/32"): at(100)}, wall=10, elapsed=60)
    assert mirror.held(Purpose.OPEN)[key("10.0.0.1/32")].deadline == 100


def test_what_has_ended_is_forgotten_once_its_end_is_past() -> None:
    """Case CL16: nothing is kept for ever."""
    mirror = Mirror()
    change(mirror, {key("10.0.0.1/32"): at(100)}, wall=0, elapsed=0)
    change(mirror, {key("10.0.0.1/32"): None}, wall=50, elapsed=50)
    mirror.forget_ended(at(99))
    assert mirror._ended
    mirror.forget_ended(at(100))
    assert not mirror._ended


def test_renewing_for_ever_takes_no_more_memory() -> None:
    mirror = Mirror()
    for n in range(5_000):
        mirror.record(Purpose.OPEN, {key("10.0.0.1/32"): Held(at(n), float(n))})
    assert len(mirror._due) < 1_100
    assert mirror.due(10_000) == {Purpose.OPEN: {key("10.0.0.1/32"): Held(at(4_999), 4_999.0)}, Purpose.CUT: {}}


def test_what_is_due_is_due_once_unless_put_back() -> None:
    mirror = Mirror()
    mirror.record(Purpose.OPEN, {key("10.0.0.1/32"): Held(at(1), 1.0), key("10.0.0.2/32"): Held(at(2), 2.0)})
    assert list(mirror.due(1.0)[Purpose.OPEN]) == [key("10.0.0.1/32")]
    assert not mirror.due(1.0)[Purpose.OPEN]
    mirror.put_back(Purpose.OPEN, [key("10.0.0.1/32")])
    assert list(mirror.due(1.0)[Purpose.OPEN]) == [key("10.0.0.1/32")]


@pytest.mark.parametrize(
    ("peer", "covered"),
    [("10.1.2.3", True), ("10.1.3.3", False), ("::ffff:10.1.2.3", True), ("fd00::1", True), ("fd01::1", False)],
)
def test_an_address_is_covered_by_any_prefix_around_it(peer: str, covered: bool) -> None:
    mirror = Mirror()
    standing = {key("10.1.2.0/24"): Held(at(1), 1.0), key("fd00::/64"): Held(at(1), 1.0)}
    mirror.record(Purpose.OPEN, standing)
    assert mirror.covers(of_address(peer), port_key(), {}) is covered
    assert not mirror.covers(of_address(peer), port_key(PORT + 1), {})
    assert not mirror.covers(of_address(peer), port_key(), dict.fromkeys(standing))


def test_what_closes_goes_before_what_opens_however_much_there_is() -> None:
    """Design rule: close first, then open."""
    mirror = Mirror()
    gone = [key(f"10.0.{n >> 8}.{n & 255}/32") for n in range(7_000)]
    mirror.record(Purpose.OPEN, dict.fromkeys(gone, Held(at(1), 1.0)))
    fresh = {key(f"10.1.{n >> 8}.{n & 255}/32"): Held(at(900), 900.0) for n in range(7_000)}
    batches = list(Difference({**fresh, **dict.fromkeys(gone)}).batches())
    order = [held is None for batch in batches for held in batch.open.values()]
    assert order == sorted(order, reverse=True)
    assert len(order) == 14_000
    mixed = next(batch for batch in batches if batch.closed and len(batch.closed) < len(batch.open))
    lines = mixed.commands(0, mirror)
    assert [line.split(" ")[0] for line in lines] == ["add", "delete", "add"]


def test_a_renewal_takes_the_old_element_away_first() -> None:
    """Case OV7: a kernel before 6.12 keeps the old timeout of an element that it has, and reports success."""
    mirror = Mirror()
    mirror.record(Purpose.OPEN, {key("10.0.0.1/32"): Held(at(1), 1.0)})
    renewed = Difference({key("10.0.0.1/32"): Held(at(9), 9.0), key("10.0.0.2/32"): Held(at(9), 9.0)})
    add, delete, timed = renewed.commands(0.0, mirror)
    assert add == "add element inet jitgate open4_32 { 10.0.0.1 . tcp . 2222 }"
    assert delete == "delete element inet jitgate open4_32 { 10.0.0.1 . tcp . 2222 }"
    assert timed.count(" timeout 0d9s0ms ") == 2


def test_an_element_never_goes_without_a_timeout() -> None:
    """One that has none would never end; ``timeout 0`` means the same to nft."""
    held = {key(f"10.0.0.{n}/32"): Held(at(n), n / 10_000) for n in range(20)}
    (line,) = fill(Purpose.OPEN, held, 0.0)
    elements = line.partition("{")[2].split(",")
    assert len(elements) == 10
    assert all(" timeout 0d0s1ms " in element for element in elements)


def test_what_is_no_address_never_reaches_nft() -> None:
    stray = AccessKey(MACHINE, PORT, key("::/0").protocol, Prefix("1.2.3.4 . tcp . 22 }; flush ruleset; {/32"))
    with pytest.raises(ValueError, match="is not an address"):
        fill(Purpose.OPEN, {stray: Held(at(9), 9.0)}, 0.0)


def test_what_was_found_standing_gets_the_shorter_of_both_times() -> None:
    """The kernel's clock stops while the machine sleeps; the wall clock may have been set back."""
    found = {
        key("10.0.0.1/32"): Held(at(50), 1_100.0),
        key("10.0.0.2/32"): Held(at(500), 1_100.0),
        key("10.0.0.3/32"): Held(at(0), 1_100.0),
    }
    left = with_time_left(found, Now(at(0), 1_000.0))
    assert {each: held.deadline for each, held in left.items()} == {
        key("10.0.0.1/32"): 1_050.0,
        key("10.0.0.2/32"): 1_100.0,
    }
