"""A certificate of the operator's own: what is taken, and what is refused with a reason."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.rotation.authorities import DAY, Issuer, pem

from jitgate.core.errors import Invalid
from jitgate.trust import own_certificate
from jitgate.trust.own_certificate import OwnCertificate, Pair

NAMES = ("localhost", "jit.example.org")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer("An Authority")


def load(pair: tuple[Path, Path]) -> OwnCertificate:
    return own_certificate.load(Pair(*pair), NAMES, datetime.now(UTC))


def test_it_is_for_the_names_that_it_holds_and_tells_who_vouches_for_it(tmp_path: Path, issuer: Issuer) -> None:
    found = load(issuer.issue(tmp_path, ("JIT.example.org", "*.jit.example.org")))
    assert found.is_for("jit.example.org")
    assert found.is_for("a.jit.EXAMPLE.org")
    assert not any(map(found.is_for, (None, "", "localhost", "example.org", "a.b.jit.example.org")))
    assert found.authority.encode() == pem(issuer.root)


def test_an_authority_that_the_system_knows_need_not_be_in_the_file(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = issuer.issue(tmp_path)
    certificate.write_bytes(certificate.read_bytes().removesuffix(pem(issuer.root)))
    with pytest.raises(Invalid, match="CN=An Authority root, which is not known here"):
        load((certificate, key))
    (tmp_path / "system.pem").write_bytes(pem(Issuer("Another").root) + pem(issuer.root))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    assert load((certificate, key)).authority.encode() == pem(issuer.root)


def with_anothers_key(tmp_path: Path, issuer: Issuer) -> tuple[Path, Path]:
    return issuer.issue(tmp_path)[0], issuer.issue(tmp_path / "other")[1]


def world_readable(tmp_path: Path, issuer: Issuer) -> tuple[Path, Path]:
    pair = issuer.issue(tmp_path)
    pair[1].chmod(0o644)
    return pair


def without_a_key(tmp_path: Path, issuer: Issuer) -> tuple[Path, Path]:
    return issuer.issue(tmp_path)[0], tmp_path / "none"


def out_of_order(tmp_path: Path, issuer: Issuer) -> tuple[Path, Path]:
    certificate, key = issuer.issue(tmp_path, chain=False)
    certificate.write_bytes(certificate.read_bytes() + pem(issuer.root) + pem(issuer.between))
    return certificate, key


def that_is_none(tmp_path: Path, issuer: Issuer) -> tuple[Path, Path]:
    certificate, key = issuer.issue(tmp_path)
    certificate.write_text("no certificate")
    return certificate, key


def with_a_password(tmp_path: Path, issuer: Issuer) -> tuple[Path, Path]:
    certificate, key = issuer.issue(tmp_path)
    key.write_text(key.read_text().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"))
    return certificate, key


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (with_anothers_key, r"certificate_key_file: .*is not the key of"),
        (world_readable, r"certificate_key_file: .*read by everybody .*644.*mode 600"),
        (without_a_key, r"certificate_key_file: .*No such file"),
        (with_a_password, r"certificate_key_file: .*without password"),
        (out_of_order, r"certificate_file: .*has not issued"),
        (that_is_none, r"certificate_file: .*holds no certificate"),
        (lambda path, issuer: issuer.issue(path, ends=-DAY / 24), r"ended on .*renew"),
        (lambda path, issuer: issuer.issue(path, begins=DAY), r"begins on .*clock"),
        (lambda path, issuer: issuer.issue(path, ("other.example",)), r"is for other\.example, .*allowed_hosts"),
    ],
)
def test_what_would_not_be_believed_is_refused_with_a_reason(
    tmp_path: Path, issuer: Issuer, spoil: Callable[[Path, Issuer], tuple[Path, Path]], why: str
) -> None:
    with pytest.raises(Invalid, match=why):
        load(spoil(tmp_path, issuer))
