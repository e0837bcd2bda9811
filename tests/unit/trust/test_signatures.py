"""Keys in files: what others can read, and what is not taken for one."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from jitgate.trust import signatures

_PEM, _PKCS8, _OPEN = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()


def test_a_key_that_we_wrote_is_what_others_read(tmp_path: Path) -> None:
    ours = signatures.ensure(tmp_path / "key")
    theirs = load_pem_private_key((tmp_path / "key").read_bytes(), None)
    assert isinstance(theirs, Ed25519PrivateKey)
    assert signatures.encode(theirs.public_key().public_bytes_raw()) == ours.public
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert signatures.ensure(tmp_path / "key").public == ours.public


def test_a_key_that_others_wrote_is_read(tmp_path: Path) -> None:
    theirs = Ed25519PrivateKey.generate()
    (tmp_path / "key").write_bytes(theirs.private_bytes(_PEM, _PKCS8, _OPEN))
    read = signatures.load(tmp_path / "key").public
    assert read == signatures.encode(theirs.public_key().public_bytes_raw())


_GOOD = Ed25519PrivateKey.generate().private_bytes(_PEM, _PKCS8, _OPEN)


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b"nothing\n",
        _GOOD[:-30],
        _GOOD.replace(b"MC4CAQ", b"MC4CAR"),
        _GOOD + _GOOD,
        b"# a comment\n" + _GOOD,
        generate_private_key(SECP256R1()).private_bytes(_PEM, _PKCS8, _OPEN),
        Ed25519PrivateKey.generate().private_bytes(_PEM, _PKCS8, BestAvailableEncryption(b"word")),
    ],
    ids=["nothing", "words", "half of one", "a changed one", "two", "a comment before", "another kind", "a password"],
)
def test_what_is_no_such_key_is_refused_by_its_path(held: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(held)
    with pytest.raises(ValueError, match="key does not hold an Ed25519 private key"):
        signatures.load(tmp_path / "key")
