"""How rules are named and described."""

from datetime import UTC, datetime

import pytest

from jitgate.connectors.azure import names

END = datetime(2030, 1, 1, 12, 30, 15, 999_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "what", ["Opens 22 of web-1.", "x" * 500, "", "[jitgate 0123456789ab until 1999-01-01T00:00:00Z]"]
)
def test_a_description_keeps_its_mark_within_140_characters(what: str) -> None:
    text = names.describe(what, "/scope", END)
    assert len(text) <= 140
    assert names.mark_of(text) == names.Mark(names.tag("/SCOPE"), END.replace(microsecond=0))


def test_an_end_is_never_said_later_than_it_is() -> None:
    mark = names.mark_of(names.describe("x", "s", END))
    assert mark is not None
    assert mark.until is not None
    assert mark.until <= END


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a user's own",
        "[jitgate 123]",
        "[jitgate 0123456789ab until 2030-13-01T00:00:00Z]",
        "[jitgate 0123456789ab] x",
    ],
)
def test_what_is_not_exactly_a_mark_is_none(text: str) -> None:
    assert names.mark_of(text) is None


def test_names_have_80_characters_at_most_and_tell_their_machine() -> None:
    for name in [*names.allow_names("uuid", 65535), names.deny_name("uuid", "any", 6), names.bastion_name("uuid", 4)]:
        assert len(name) <= 80
        assert names.machine_tag_of(name.upper()) == names.tag("UUID")
    assert names.machine_tag_of("jitgate-allow-mine") is None
