"""JSON without what JSON leaves open."""

import contextlib
import json
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.core.errors import Invalid
from jitgate.web import body

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    # NUL is refused, and UTF-8 knows no half of a surrogate pair.
    | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_characters="\0", codec="utf-8")), inner)
    ),
    max_leaves=10,
)


@given(VALUES, st.booleans())
def test_every_plain_value_reads_back_as_it_was(value: Any, ascii_only: bool) -> None:
    assert body.parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_bytes_that_are_no_json_are_invalid_and_nothing_else(text: bytes) -> None:
    with contextlib.suppress(Invalid):
        body.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON .*line 1, column 2"),
        (b"{} {}", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too long"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": ["\\ud800"]}', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
        (b'{"a": {"b": "x\\u0000y"}}', "NUL"),
        (b'{"a": "\x00"}', "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        body.parse(text)


def test_a_name_that_stands_twice_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="endTimeUtc: the name stands twice"):
        body.parse(b'{"ports": [{"endTimeUtc": 1, "number": 2, "endTimeUtc": 3}]}')


def test_many_names_of_which_the_last_stands_twice_hold_nobody_up() -> None:
    """Comparing each with all others would take as many steps as names, squared."""
    names = ", ".join(f'"{number}": 0' for number in (*range(40_000), 39_999))
    began = time.process_time()
    with pytest.raises(Invalid, match="39999: the name stands twice"):
        body.parse(f"{{{names}}}".encode())
    assert time.process_time() - began < 2


def test_names_are_compared_without_case_where_the_contract_does() -> None:
    assert body.parse(b'{"VirtualMachines": [{"ID": "x"}]}', fold_names=True) == {"virtualmachines": [{"id": "x"}]}
    with pytest.raises(Invalid, match="twice"):
        body.parse(b'{"id": 1, "ID": 2}', fold_names=True)
    assert body.parse(b'{"id": 1, "ID": 2}') == {"id": 1, "ID": 2}


def test_escapes_and_a_byte_order_mark_are_fine() -> None:
    assert body.parse(b'\xef\xbb\xbf{"a": "\\u0041\\\\u0000 \\ud83d\\ude00"}') == {"a": "A\\u0000 \N{GRINNING FACE}"}


def test_the_limit_on_long_numbers_is_on() -> None:
    """Python has it by default, and somebody could switch it off."""
    assert 0 < sys.get_int_max_str_digits() <= 5000
