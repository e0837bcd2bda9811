"""Patterns of actions: what they match, in time that does not depend on how clever a pattern is."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.core import patterns
from jitgate.core.errors import Invalid, TooLarge
from jitgate.core.patterns import check_patterns, includes, matches, may_meet

WORDS = st.text("ab/", max_size=8)
PATTERNS = st.text("ab/*", max_size=8)


def by_the_book(pattern: str, text: str) -> bool:
    """What a pattern means, said in the slowest way there is."""
    if not pattern:
        return not text
    if pattern.startswith("/*/") and by_the_book(pattern[2:], text):
        return True
    if pattern[0] == "*":
        return any(by_the_book(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and by_the_book(pattern[1:], text[1:])


@given(PATTERNS, WORDS)
def test_a_pattern_matches_what_it_means(pattern: str, text: str) -> None:
    assert matches(pattern, text) is by_the_book(pattern, text)


def test_the_cleverest_pattern_costs_no_more_than_reading_the_text() -> None:
    """The same pattern as a regular expression that tries again would take years."""
    pattern, text = "*a" * 120 + "b", "a" * 20_000
    began = time.process_time()
    assert not matches(pattern, text)
    assert time.process_time() - began < 0.5


@given(PATTERNS, PATTERNS, WORDS)
def test_what_includes_another_matches_all_that_the_other_does(wide: str, narrow: str, text: str) -> None:
    if includes(wide, narrow) and matches(narrow, text):
        assert matches(wide, text)


@given(PATTERNS, PATTERNS, WORDS)
def test_what_never_meets_has_no_action_in_common(one: str, other: str, text: str) -> None:
    if matches(one, text) and matches(other, text):
        assert may_meet(one, other)
        assert may_meet(other, one)


def test_what_obviously_has_nothing_in_common_is_said_to_have_none() -> None:
    assert not may_meet("Microsoft.Security/*", "Microsoft.Compute/*")
    assert not may_meet("*/read", "*/write")
    assert not may_meet("Microsoft.Security/*", "Microsoft.Compute/x/read")
    assert not may_meet("a/read", "a/write")


@pytest.mark.parametrize("bad", ["", " ", "a b", "a\n", "ä/read", "a?", "a" * 257, "*" * 9, "(a+)+$"])
def test_what_is_no_pattern_is_refused_by_the_field(bad: str) -> None:
    with pytest.raises(Invalid, match=re.escape("actions[1]")):
        check_patterns(["*/read", bad], "actions")


def test_a_role_has_no_thousands_of_patterns() -> None:
    check_patterns(["a"] * patterns.MOST_PATTERNS, "actions")
    with pytest.raises(TooLarge):
        check_patterns(["a"] * (patterns.MOST_PATTERNS + 1), "actions")
