"""How long Azure asks to wait, and how long a firewall is measured to take."""

import pytest

from jitgate.connectors.azure.arm import seconds_to_wait
from jitgate.connectors.azure.firewalls import USUALLY, Known

NOW = "Fri, 31 Dec 2027 23:59:50 GMT"


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Sat, 01 Jan 2028 00:00:20 GMT", 30.0),
        ("Fri, 31 Dec 2027 23:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_a_wait_is_said_in_seconds_or_as_a_date_and_nonsense_says_nothing(after: str, seconds: float) -> None:
    assert seconds_to_wait({"Retry-After": after, "Date": NOW}) == seconds


def test_a_date_says_nothing_where_the_answer_tells_no_time_of_its_own() -> None:
    assert seconds_to_wait({"Retry-After": "Sat, 01 Jan 2028 00:00:20 GMT"}) == 0.0


def test_a_close_begins_as_early_as_99_of_100_changes_took() -> None:
    took = tuple(float(number) for number in range(100, 300))
    measured = Known({}, took)
    assert measured.early.total_seconds() == 297.0, "two outliers of two hundred do not count"
    assert Known({}, (200.0, 900.0)).early.total_seconds() == 900.0, "of a few, the slowest counts"
    assert Known({}).early == USUALLY
