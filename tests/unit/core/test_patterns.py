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
ACTIONS = st.lists(st.sampled_from(["a", "b", "ab", ""]), min_size=1, max_size=5).map("/".join)
SEGMENTS = st.lists(st.sampled_from(["a", "b", "*", "**", "***", "a*", "*b", "a**b"]), min_size=1, max_size=5)
STARRED = SEGMENTS.map("/".join)


def by_the_book(pattern: str, text: str) -> bool:
    """What a pattern means, said in the slowest way there is."""
    if "**" in pattern:
        return by_the_book(pattern.replace("**", "*"), text)
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


@given(STARRED, STARRED, ACTIONS)
def test_what_includes_another_matches_every_action_of_it_however_many_stars(
    wide: str, narrow: str, action: str
) -> None:
    if includes(wide, narrow) and matches(narrow, action):
        assert matches(wide, action)


def actions_of(pattern: str) -> set[str]:
    """Some actions that a pattern covers: each of its stars left out, or written as one or two segments."""
    told = {pattern.replace("**", "*").replace("**", "*")}
    for _ in range(told.copy().pop().count("*")):
        told = {
            text
            for each in told
            for text in (*(each.replace("*", some, 1) for some in ("", "a", "b/a")), each.replace("/*/", "/", 1))
        }
    return {text for text in told if "*" not in text}


@given(STARRED, STARRED)
def test_no_action_of_a_pattern_is_missing_from_one_that_includes_it(wide: str, narrow: str) -> None:
    for action in actions_of(narrow) if includes(wide, narrow) else ():
        assert matches(narrow, action)
        assert matches(wide, action), (wide, narrow, action)


def test_stars_in_a_row_are_one_star() -> None:
    for stars in ("*", "**", "***"):
        assert matches(f"a/{stars}/write", "a/write")
        assert matches(f"a/{stars}/write", "a/b/write")
        assert includes(f"a/{stars}/write", "a/*/write")
        assert includes("a/*/write", f"a/{stars}/write")


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
