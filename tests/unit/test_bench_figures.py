"""The performance table. What it says must be true of the figures; how fast anything is, no test asks."""

import pytest
from bench.figures import Aim, Row, failed, number, percentile, table


def cells(rows: list[Row]) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table(rows).splitlines()]


def test_a_row_says_whether_its_aim_is_met() -> None:
    shown = cells(
        [
            Row("fast", "3 ms", 1.5, against="2 ms", aim=Aim(3)),
            Row("slow", "9 ms", 4.5, against="2 ms", aim=Aim(3)),
            Row("many", "5 /s", 0.5, against="10 /s", aim=Aim(0.5, at_least=True)),
            Row("few", "4 /s", 0.4, against="10 /s", aim=Aim(0.5, at_least=True)),
        ]
    )
    assert [line[3:] for line in shown[2:]] == [
        ["1.5 ×", "≤ 3", "yes"],
        ["4.5 ×", "≤ 3", "no"],
        ["0.5 ×", "≥ 0.5", "yes"],
        ["0.4 ×", "≥ 0.5", "no"],
    ]


def test_a_row_without_an_aim_claims_nothing() -> None:
    assert cells([Row("memory", "28 MB", 28, "MB")])[2] == ["memory", "28 MB", "", "28 MB", "", ""]


def test_what_could_not_be_measured_neither_meets_nor_misses_an_aim() -> None:
    row = failed("packets", OSError("no such device"))
    assert row.value is None
    assert row.met is None
    assert cells([row])[2] == ["packets", "could not be measured: OSError: no such device", "", "", "", ""]


def test_what_failed_on_several_lines_stays_one_row() -> None:
    assert len(table([failed("packets", RuntimeError("nft: Error:\nadd element | x\n^^^"))]).splitlines()) == 3


def test_all_lines_of_the_table_are_equally_wide() -> None:
    lines = table([Row("a", "1", 1.0), Row("a longer name", "1,000,000 /s", 2.0, aim=Aim(3))]).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_a_percentile_is_a_sample_that_was_taken() -> None:
    samples = [float(number) for number in range(1, 101)]
    assert percentile(samples, 50) == 50
    assert percentile(samples, 99) == 99
    assert percentile([7.0], 99) == 7
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5304, "0.53"),
        (3.0, "3"),
        (12.345, "12.3"),
        (4566.7, "4,567"),
        (100_000, "100,000"),
        (0.00123, "0.00123"),
    ],
)
def test_a_number_shows_the_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
