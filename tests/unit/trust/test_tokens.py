"""Personal tokens."""

import hmac

import pytest

from jitgate.trust import tokens
from jitgate.trust.tokens import Token


def test_a_token_holds_256_random_bits_and_never_comes_twice() -> None:
    made = {tokens.make().text for _ in range(100)}
    assert len(made) == 100
    # 43 characters of base64 are 256 bits.
    assert all(len(text.split("_", 2)[2]) == 43 for text in made)


def test_a_token_reads_back_as_it_was_sent() -> None:
    token = tokens.make()
    assert tokens.parse(token.text) == token


@pytest.mark.parametrize(
    "text",
    ["", "jg", "jg__", "jg_0123456789abcdef_", "jg_0123456789ABCDEF_" + "a" * 43, "gj_0123456789abcdef_" + "a" * 43]
    + ["jg_0123456789abcdef_" + "a" * length for length in (42, 44, 100_000)]
    + [
        "jg_0123456789abcdef_" + "a" * 42 + "é",
        " jg_0123456789abcdef_" + "a" * 43,
        "jg_0123456789abcdef_" + "a" * 42 + "\n",
    ],
)
def test_what_cannot_be_a_token_is_none(text: str) -> None:
    assert tokens.parse(text) is None


def test_what_is_stored_does_not_hold_the_secret() -> None:
    token = tokens.make()
    assert token.secret not in token.digest
    assert token.digest.startswith("sha256:")


def test_only_the_right_secret_matches() -> None:
    token = tokens.make()
    assert tokens.matches(token.secret, token.digest)
    assert not tokens.matches(tokens.make().secret, token.digest)
    assert not tokens.matches(token.secret, tokens.NO_TOKEN)


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    token = tokens.make()
    assert not tokens.matches(token.secret, token.digest)
    assert compared == [(token.digest, token.digest)]


def test_a_secret_shows_in_no_printed_form() -> None:
    token = Token("0123456789abcdef", "very-secret")
    assert "very-secret" not in f"{token!r} {token}"


def test_what_is_masked_keeps_the_id_and_loses_the_secret() -> None:
    token = tokens.make()
    signed = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    told = tokens.masked(f"/machines/{token.text}/{signed}?x")
    assert told == f"/machines/jg_{token.id}_…/eyJhbGci…?x"
    assert tokens.masked("/api/v1/machines/web-1.example.org") == "/api/v1/machines/web-1.example.org"
