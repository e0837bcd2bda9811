"""The installation's own certificate authority, and the server certificate that it issues.

The authority is made at the first start and can vouch for the given hosts and addresses only (name
constraints, RFC 5280 4.2.1.10) and for no further authority (path length 0): whoever steals its key can
impersonate this server, and nobody else. Clients are given ``ca.pem``.

::

    ca.pem      public          ca.key      mode 600, signs server certificates
    server.pem  mode 600: certificate and key in one file, so that they are replaced together or not at all
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jitgate.core.errors import Invalid
from jitgate.trust.files import write_private, write_public

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
"""A server certificate with less than this left is replaced."""

CLOCKS_DIFFER = timedelta(hours=1)
"""Certificates begin this much early, for clients whose clocks are behind."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""What every authority can vouch for, whatever else."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the certificates are. `renewed`: the server's has just been issued; who serves must load it."""

    authority: Path
    server: Path
    expires_at: datetime
    renewed: bool


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate and the key that signs in its name."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure(directory: Path, hosts: Sequence[str], now: datetime) -> Certificates:
    """Make what is missing or about to expire; leave the rest alone. Cheap enough to repeat daily.

    `hosts`: names and addresses that clients use, besides those of loopback. Raises Invalid for a host that
    the authority was not made for, and for a damaged or incomplete set of files.
    """
    wanted = _general_names([*hosts, *LOOPBACK])
    authority = _ensure_authority(directory, wanted, now)
    _check_constraints(authority.certificate, wanted, directory)
    server = directory / "server.pem"
    current = _load_server(server, authority, wanted, now)
    renewed = current is None
    if current is None:
        current = _issue(authority, wanted, now, server)
    return Certificates(directory / "ca.pem", server, current.not_valid_after_utc, renewed)


def _ensure_authority(directory: Path, names: Sequence[x509.GeneralName], now: datetime) -> Authority:
    certificate, key = directory / "ca.pem", directory / "ca.key"
    if certificate.exists():
        return _load_authority(certificate, key, now)
    made = _make_authority(names, now)
    # The key first: a certificate whose key was lost on the way could sign nothing.
    write_private(key, _key_pem(made.key))
    write_public(certificate, made.certificate.public_bytes(Encoding.PEM))
    return made


def _load_authority(certificate: Path, key: Path, now: datetime) -> Authority:
    try:
        loaded = Authority(x509.load_pem_x509_certificate(certificate.read_bytes()), _load_key(key.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise _broken(certificate, f"{certificate.name} or {key.name} cannot be read ({error})") from error
    if loaded.certificate.public_key() != loaded.key.public_key():
        raise _broken(certificate, f"{key.name} is not the key of {certificate.name}")
    if loaded.certificate.not_valid_after_utc <= now + SERVER_LIFE:
        raise _broken(certificate, "the certificate authority has come to its end")
    return loaded


def _make_authority(names: Sequence[x509.GeneralName], now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # A name of its own: two authorities of one name would be mistaken for each other in a trust store.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"jitgate CA {serial:x}"[:40])])
    constraints = x509.NameConstraints([_as_constraint(name) for name in names], None)
    certificate = (
        _builder(name, name, key.public_key(), serial, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def _issue(authority: Authority, names: Sequence[x509.GeneralName], now: datetime, path: Path) -> x509.Certificate:
    """A new server certificate with a new key, in its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jitgate")])
    issuer = authority.certificate
    certificate = (
        _builder(subject, issuer.subject, key.public_key(), x509.random_serial_number(), now, SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)  # type: ignore[arg-type]
        .sign(authority.key, hashes.SHA256())
    )
    write_private(path, certificate.public_bytes(Encoding.PEM) + _key_pem(key))
    return certificate


def _load_server(
    path: Path, authority: Authority, names: Sequence[x509.GeneralName], now: datetime
) -> x509.Certificate | None:
    """The server certificate on file; None if it has to be issued anew."""
    try:
        text = path.read_bytes()
        certificate = x509.load_pem_x509_certificate(text)
        certificate.verify_directly_issued_by(authority.certificate)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        fits = certificate.public_key() == _load_key(text).public_key() and set(held) == set(names)
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return None
    return certificate if fits and certificate.not_valid_after_utc > now + RENEW_BEFORE else None


def _check_constraints(authority: x509.Certificate, names: Sequence[x509.GeneralName], directory: Path) -> None:
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = set(constraints.permitted_subtrees or ())
    for name in names:
        if _as_constraint(name) not in permitted:
            raise _broken(directory / "ca.pem", f"the certificate authority was not made for the host {name.value}")


def _broken(certificate: Path, what: str) -> Invalid:
    return Invalid(
        "listen",
        f"{what}; to make another authority, move ca.pem, ca.key and server.pem out of {certificate.parent}, "
        "start again, and give the new ca.pem to all clients",
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, serial: int, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + life)
    )


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    """Each host once, as an address where it is one, else as a name."""
    return [_general_name(host) for host in dict.fromkeys(host.lower() for host in hosts)]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host.encode("idna").decode("ascii"))
    except UnicodeError as error:
        raise Invalid("listen", f"{host!r:.80} is not a host", allowed="a DNS name or an IP address") from error


def _as_constraint(name: x509.GeneralName) -> x509.GeneralName:
    """The constraint that permits a name: for an address the network that holds just it."""
    return x509.IPAddress(ipaddress.ip_network(name.value)) if isinstance(name, x509.IPAddress) else name


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Raises TypeError for a key of another kind, ValueError for none."""
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not an EC key")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
