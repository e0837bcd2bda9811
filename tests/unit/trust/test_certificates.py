"""The certificate authority and the server certificate, as a TLS client judges them."""

import contextlib
import shutil
import socket
import ssl
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from jitgate.core.errors import Invalid
from jitgate.trust import certificates
from jitgate.trust.certificates import RENEW_BEFORE, SERVER_LIFE, Certificates

HOSTS = ("jit.example.com", "192.0.2.10", "2001:db8::10")


def now() -> datetime:
    return datetime.now(UTC)


def handshake(made: Certificates, host: str, server: Path | None = None) -> None:
    """Complete a TLS handshake as a client that trusts only our authority and wants `host`. Raises ssl.SSLError."""
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(server or made.server)
    outside = ssl.create_default_context(cafile=str(made.authority))
    outside.verify_flags |= ssl.VERIFY_X509_STRICT
    here, there = socket.socketpair()
    with here, there:
        thread = threading.Thread(target=accept, args=(inside, there))
        thread.start()
        try:
            outside.wrap_socket(here, server_hostname=host).close()
        finally:
            here.close()
            thread.join()


def accept(context: ssl.SSLContext, connection: socket.socket) -> None:
    # An error here means that the client, whose judgement counts, has turned away.
    with contextlib.suppress(ssl.SSLError, OSError):
        context.wrap_socket(connection, server_side=True).close()


@pytest.mark.parametrize("host", [*HOSTS, "localhost", "127.0.0.1", "::1"])
def test_clients_that_trust_the_authority_accept_the_server_under_each_of_its_names(tmp_path: Path, host: str) -> None:
    handshake(certificates.ensure(tmp_path, HOSTS, now()), host)


def test_a_server_is_not_accepted_under_another_name(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificates.ensure(tmp_path, HOSTS, now()), "other.example.com")


def forged(tmp_path: Path, name: x509.GeneralName, *, ca: bool = False) -> Path:
    """What a thief of the authority's key would make: a certificate for a name of their choice, in a file."""
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    signer = load_pem_private_key((tmp_path / "ca.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer, public = authority.subject, authority.public_key()
    chain = b""
    if ca:
        below = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "below")])
        middle = forge(subject, issuer, below, signer, x509.BasicConstraints(ca=True, path_length=None), None, public)
        chain, issuer, signer, public = middle.public_bytes(Encoding.PEM), subject, below, below.public_key()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")])
    leaf = forge(subject, issuer, key, signer, x509.BasicConstraints(ca=False, path_length=None), name, public)
    path = tmp_path / "forged.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(leaf.public_bytes(Encoding.PEM) + chain + pem)
    return path


def forge(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    constraints: x509.BasicConstraints,
    name: x509.GeneralName | None,
    signer_public: object,
) -> x509.Certificate:
    assert isinstance(signer_public, ec.EllipticCurvePublicKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(hours=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_public), critical=False)
    )
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = builder.add_extension(
        x509.KeyUsage(digital_signature=True, key_cert_sign=constraints.ca, crl_sign=constraints.ca, **usage),
        critical=True,
    )
    if name is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def test_a_thief_of_the_authority_can_forge_its_own_names_only(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path, HOSTS, now())
    handshake(made, "localhost", forged(tmp_path, x509.DNSName("localhost")))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        handshake(made, "bank.example", forged(tmp_path, x509.DNSName("bank.example")))


def test_the_authority_cannot_make_another_authority(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path, HOSTS, now())
    with pytest.raises(ssl.SSLCertVerificationError, match="path length"):
        handshake(made, "localhost", forged(tmp_path, x509.DNSName("localhost"), ca=True))


def test_keys_are_for_their_owner_alone_and_the_authoritys_certificate_for_all(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, HOSTS, now())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca-handover.pem": 0o644, "ca.key": 0o600, "server.pem": 0o600}
    assert b"PRIVATE" not in (tmp_path / "ca.pem").read_bytes()


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    first = certificates.ensure(tmp_path, HOSTS, now())
    before = contents(tmp_path)
    second = certificates.ensure(tmp_path, HOSTS, now())
    assert (first.renewed, second.renewed) == (True, False)
    assert contents(tmp_path) == before


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_server_certificate_is_renewed_before_it_ends_and_the_authority_stays(tmp_path: Path) -> None:
    start = now()
    first = certificates.ensure(tmp_path, HOSTS, start)
    before = contents(tmp_path)
    late = start + SERVER_LIFE - RENEW_BEFORE
    assert not certificates.ensure(tmp_path, HOSTS, late - timedelta(minutes=1)).renewed
    renewed = certificates.ensure(tmp_path, HOSTS, late + timedelta(minutes=1))
    after = contents(tmp_path)
    assert renewed.renewed
    assert renewed.expires_at > first.expires_at
    assert after["server.pem"] != before["server.pem"]
    assert (after["ca.pem"], after["ca.key"]) == (before["ca.pem"], before["ca.key"])


def lose_server(directory: Path) -> None:
    (directory / "server.pem").unlink()


def damage_server(directory: Path) -> None:
    (directory / "server.pem").write_bytes(b"not a certificate")


@pytest.mark.parametrize("harm", [lose_server, damage_server])
def test_a_lost_or_damaged_server_certificate_is_issued_anew(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    certificates.ensure(tmp_path, HOSTS, now())
    harm(tmp_path)
    made = certificates.ensure(tmp_path, HOSTS, now())
    assert made.renewed
    handshake(made, "localhost")


def test_fewer_hosts_make_another_server_certificate_under_the_same_authority(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, HOSTS, now())
    authority = (tmp_path / "ca.pem").read_bytes()
    made = certificates.ensure(tmp_path, HOSTS[:1], now())
    assert made.renewed
    assert (tmp_path / "ca.pem").read_bytes() == authority
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, HOSTS[1])


def test_a_host_that_the_authority_was_not_made_for_is_refused_with_what_to_do(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, HOSTS, now())
    before = contents(tmp_path)
    with pytest.raises(Invalid, match=r"new\.example\.com.*move ca\.pem"):
        certificates.ensure(tmp_path, ["new.example.com"], now())
    assert contents(tmp_path) == before


def lose_key(directory: Path) -> None:
    (directory / "ca.key").unlink()


def swap_key(directory: Path) -> None:
    other = directory / "other"
    other.mkdir()
    certificates.ensure(other, HOSTS, now())
    (other / "ca.key").rename(directory / "ca.key")


@pytest.mark.parametrize("harm", [lose_key, swap_key])
def test_an_authority_without_its_key_is_never_replaced_in_silence(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    certificates.ensure(tmp_path, HOSTS, now())
    harm(tmp_path)
    before = (tmp_path / "ca.pem").read_bytes()
    with pytest.raises(Invalid, match=r"ca\.key"):
        certificates.ensure(tmp_path, HOSTS, now())
    assert (tmp_path / "ca.pem").read_bytes() == before


def test_what_is_no_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="not a host"):
        certificates.ensure(tmp_path, ["ex" + "a" * 70 + ".example"], now())
    assert not list(tmp_path.iterdir())


# --- one after the other ------------------------------------------------------------------------------


def knowing(authority: str, made: Certificates, tmp_path: Path) -> Certificates:
    """As who has been given this for ca.pem."""
    path = tmp_path / "known.pem"
    path.write_text(authority)
    return replace(made, authority=path)


def test_who_knows_only_the_first_authority_believes_the_server_after_others_have_followed(tmp_path: Path) -> None:
    made, first = certificates.ensure(tmp_path, HOSTS, now()), (tmp_path / "ca.pem").read_text()
    issuers = [made.issuer]
    for _ in range(3):
        certificates.follow(tmp_path, now(), now())
        made = certificates.ensure(tmp_path, HOSTS, now())
        assert made.renewed
        issuers.append(made.issuer)
        for known in (first, made.issuer, (tmp_path / "ca.pem").read_text()):
            for host in (HOSTS[0], "::1"):
                handshake(knowing(known, made, tmp_path), host)
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(knowing(first, made, tmp_path), "other.example.com")
    assert len(set(issuers)) == 4
    assert not certificates.ensure(tmp_path, HOSTS, now()).renewed


def test_the_next_authority_is_known_before_it_signs(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path, HOSTS, now())
    later = now() + timedelta(hours=1)
    certificates.follow(tmp_path, later, now())
    same = certificates.ensure(tmp_path, HOSTS, now())
    assert (same.renewed, same.issuer) == (False, made.issuer)
    assert (tmp_path / "ca.pem").read_text().count("BEGIN") == 2
    with pytest.raises(ValueError, match="there already"):
        certificates.follow(tmp_path, later, now())
    assert certificates.ensure(tmp_path, HOSTS, later).renewed


def test_a_retired_authority_vouches_no_more(tmp_path: Path) -> None:
    made, first = certificates.ensure(tmp_path, HOSTS, now()), (tmp_path / "ca.pem").read_text()
    stolen = tmp_path / "stolen"
    shutil.copytree(tmp_path, stolen)
    certificates.follow(tmp_path, now(), now())
    certificates.follow(tmp_path, now() + timedelta(hours=1), now())
    assert certificates.retire(tmp_path, now()) == 1
    made = certificates.ensure(tmp_path, HOSTS, now())
    handshake(made, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(replace(made, server=stolen / "server.pem"), "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(knowing(first, made, tmp_path), "localhost")
    assert certificates.retire(tmp_path, now()) == 0
    assert certificates.ensure(tmp_path, HOSTS, now() + timedelta(hours=2)).renewed, "the one that waits was kept"
