"""Keys that follow one another: which one signs, which are believed, and what a file of them may hold."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jitgate.identity.credentials import NotKnown
from jitgate.identity.signing import ACCESS, ACCESS_LIFE, Signer, new_pem, read_keys
from jitgate.trust import links, succession
from jitgate.trust.files import Replaceable
from jitgate.trust.succession import Entry, Succession

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIFE = 15 * MINUTE
THREE = Succession((Entry("a"), Entry("b", NOON), Entry("c", NOON + 60 * MINUTE)))


@pytest.mark.parametrize(
    ("minutes", "signs", "believed"),
    [
        (-1, "a", {"a", "b", "c"}),
        (0, "b", {"a", "b", "c"}),
        (14, "b", {"a", "b", "c"}),
        (15, "b", {"b", "c"}),
        (60, "c", {"b", "c"}),
        (75, "c", {"c"}),
    ],
)
def test_a_key_is_believed_before_it_signs_and_for_as_long_as_what_it_signed_lives(
    minutes: int, signs: str, believed: set[str]
) -> None:
    now = NOON + minutes * MINUTE
    assert THREE.current(now) == THREE.believed(now, LIFE)[0] == signs
    assert set(THREE.believed(now, LIFE)) == believed


def test_one_that_waits_is_not_followed_by_another() -> None:
    with pytest.raises(ValueError, match="there already, and used from 2030-01-31 13:00"):
        THREE.followed_by("d", NOON + 2 * 60 * MINUTE, NOON)
    assert THREE.followed_by("d", NOON + 90 * MINUTE, NOON + 80 * MINUTE).entries[-1].key == "d"


def test_a_file_holds_what_was_put_into_it() -> None:
    one, other = new_pem(), new_pem()
    keys = Succession((Entry(one), Entry(other, NOON)))
    assert succession.parse(succession.encode(keys)) == keys
    assert succession.parse(one) == Succession((Entry(one),))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b"Used-From", b"Used"),
        lambda text: text.replace(b"2030-01-31", b"2030-31-31"),
        lambda text: text.replace(b"+00:00", b""),
        lambda text: text + b"-----BEGIN PRIVATE KEY-----\n",
        lambda text: text + text,
    ],
)
def test_a_damaged_file_is_refused_and_the_keys_that_were_known_stay(tmp_path: Path, spoil: object) -> None:
    path, keys = tmp_path / "signing.key", Succession((Entry(new_pem()), Entry(new_pem(), NOON)))
    path.write_bytes(succession.encode(keys))
    held = Replaceable(path, read_keys)
    kids = [entry.key.kid for entry in held.now().entries]
    damaged = spoil(succession.encode(keys))  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"key|moment|month"):
        read_keys(damaged)
    path.with_name("new").write_bytes(damaged)
    os.replace(path.with_name("new"), path)
    assert [entry.key.kid for entry in held.now().entries] == kids


def test_tokens_of_the_former_key_are_good_until_they_end_and_the_next_is_published_before_it_signs(
    tmp_path: Path,
) -> None:
    signer = Signer.ensure(tmp_path)
    token = signer.sign(ACCESS, {"cid": "x"}, NOON - MINUTE, ACCESS_LIFE)
    [first] = signer.public(NOON)["keys"]
    path = tmp_path / "signing.key"
    known = succession.parse(path.read_bytes())
    path.write_bytes(succession.encode(known.followed_by(new_pem(), NOON, NOON - MINUTE)))
    assert signer.public(NOON - MINUTE)["keys"][0] == first
    assert len(signer.public(NOON - MINUTE)["keys"]) == 2
    assert signer.has_signed(token)
    assert signer.read(ACCESS, token, NOON + 13 * MINUTE)["cid"] == "x"
    later = signer.sign(ACCESS, {"cid": "y"}, NOON, ACCESS_LIFE)
    assert signer.read(ACCESS, later, NOON)["cid"] == "y"
    path.write_bytes(succession.encode(succession.parse(path.read_bytes()).without_former(NOON)))
    assert not signer.has_signed(token)
    with pytest.raises(NotKnown):
        signer.read(ACCESS, token, NOON)


def test_links_of_the_former_key_still_lead_to_their_request(tmp_path: Path) -> None:
    path = tmp_path / links.LINK_KEY
    path.write_bytes(b"\x80" * 32)  # As the first version kept it.
    held = links.ensure_keys(tmp_path)
    request = "0" * 32
    link = links.make(held.now().current(NOON), request, "dora")
    known = succession.parse(links.as_pem(path.read_bytes()))
    path.write_bytes(succession.encode(known.followed_by(links.new_pem(), NOON, NOON)))
    keys = held.now().believed(NOON, links.LIFE)
    assert len(keys) == 2
    assert keys[0] != b"\x80" * 32
    assert links.read(keys, link, "dora") == links.read(keys, links.make(keys[0], request, "dora"), "dora") == request
    assert links.read(keys, link, "egon") is None
    assert links.read(held.now().believed(NOON + links.LIFE, links.LIFE), link, "dora") is None
