"""The installation's own certificate authority, and the server certificate that it issues.

The authority is made at the first start and can vouch for the given hosts and addresses only (name
constraints, RFC 5280 4.2.1.10) and for no further authority (path length 0): whoever steals its key can
impersonate this server, and nobody else. Clients are given ``ca.pem``.

Another authority can follow, under the same name. The former one certifies its key (RFC 4210, 4.4: new with old), and
that certificate is shown with the server's, so who knows only the former believes the server still. It is self-issued,
which no path length counts (RFC 5280, 6.1.4).

::

    ca.pem           public: the authorities, the newest first      ca.key      mode 600: their keys, which sign
    ca-handover.pem  public: what former ones have certified
    server.pem       mode 600: the server's certificate, those that former authorities have made, and its key, in one
                     file, so that they are replaced together or not at all
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
from jitgate.trust import succession
from jitgate.trust.files import write_private, write_public
from jitgate.trust.succession import Succession

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
"""A server certificate with less than this left is replaced."""

CLOCKS_DIFFER = timedelta(hours=1)
"""Certificates begin this much early, for clients whose clocks are behind."""

HANDOVER = "ca-handover.pem"

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""What every authority can vouch for, whatever else."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the certificates are. `renewed`: the server's has just been issued; who serves must load it. `issuer`: the
    authority that has issued it, PEM."""

    authority: Path
    server: Path
    expires_at: datetime
    renewed: bool
    issuer: str


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
    if not (directory / HANDOVER).exists():
        write_public(directory / HANDOVER, b"")  # Whoever copies the keys to another replica need not ask.
    server, between = directory / "server.pem", _between(authority.certificate, directory)
    current = _load_server(server, authority, between, wanted, now)
    renewed = current is None
    if current is None:
        current = _issue(authority, between, wanted, now, server)
    pem = authority.certificate.public_bytes(Encoding.PEM).decode("ascii")
    return Certificates(directory / "ca.pem", server, current.not_valid_after_utc, renewed, pem)


def follow(directory: Path, since: datetime, now: datetime) -> None:
    """Have another authority follow, which signs from a moment on. Raises Invalid, ValueError where one waits."""
    certificate, key, handover = (directory / name for name in ("ca.pem", "ca.key", HANDOVER))
    former = _load_authority(certificate, key, now)
    keys = _keys(key)
    name = former.certificate.subject
    new = _make_authority(_permitted(former.certificate), now, name)
    later = keys.followed_by(_key_pem(new.key), since, now)
    crossed = _certify(former, new.certificate, now)
    # What vouches for the next one first, its key last: until then nothing has changed for anybody.
    write_public(handover, _pem(crossed, *_certificates(handover)))
    write_public(certificate, _pem(new.certificate, *_certificates(certificate)))
    write_private(key, succession.encode(later))


def retire(directory: Path, now: datetime) -> int:
    """Have former authorities vouch no more; how many. Raises Invalid."""
    certificate, key = directory / "ca.pem", directory / "ca.key"
    current = _load_authority(certificate, key, now)
    known = _certificates(certificate)
    at = known.index(current.certificate)
    write_private(key, succession.encode(_keys(key).without_former(now)))
    waiting = [each for each in _certificates(directory / HANDOVER) if each.public_key() in _publics(known[:at])]
    write_public(directory / HANDOVER, _pem(*waiting))
    write_public(certificate, _pem(*known[: at + 1]))
    return len(known) - at - 1


def end_of(certificate: Path) -> datetime:
    """When the first certificate in a PEM file ends. Raises Invalid for a file that cannot be read."""
    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise Invalid(
            "--data-dir", f"{certificate} cannot be read: {error}", allowed="a certificate, as PEM"
        ) from error


def _ensure_authority(directory: Path, names: Sequence[x509.GeneralName], now: datetime) -> Authority:
    certificate, key = directory / "ca.pem", directory / "ca.key"
    if certificate.exists():
        return _load_authority(certificate, key, now)
    made = _make_authority(names, now)
    # The key first: a certificate whose key was lost on the way could sign nothing.
    write_private(key, _key_pem(made.key))
    write_public(certificate, _pem(made.certificate))
    return made


def _load_authority(certificate: Path, key: Path, now: datetime) -> Authority:
    """The one that signs now."""
    try:
        signing = _load_key(_keys(key).current(now))
        found = [each for each in _certificates(certificate) if each.public_key() == signing.public_key()]
    except (OSError, ValueError, TypeError) as error:
        raise _broken(certificate, f"{certificate.name} or {key.name} cannot be read ({error})") from error
    if not found:
        raise _broken(certificate, f"{key.name} is not the key of {certificate.name}")
    if found[0].not_valid_after_utc <= now + SERVER_LIFE:
        raise _broken(certificate, "the certificate authority has come to its end")
    return Authority(found[0], signing)


def _between(authority: x509.Certificate, directory: Path) -> list[x509.Certificate]:
    """What leads from an authority to those before it."""
    handed = _certificates(directory / HANDOVER)
    found: list[x509.Certificate] = []
    wanted = authority.public_key()
    for each in handed:  # The newest first, as they are to stand.
        if each.public_key() == wanted:
            found.append(each)
            former = [known for known in _certificates(directory / "ca.pem") if has_issued(known, each)]
            wanted = former[0].public_key() if former else wanted
    return found


def _certify(former: Authority, new: x509.Certificate, now: datetime) -> x509.Certificate:
    """The new authority's key, certified by the former one, for as long as that lasts."""
    life = former.certificate.not_valid_after_utc - now
    name = former.certificate.subject
    made = _builder(name, name, new.public_key(), x509.random_serial_number(), now, life)  # type: ignore[arg-type]
    for extension in new.extensions:
        made = made.add_extension(extension.value, critical=extension.critical)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(former.key.public_key())
    return made.add_extension(issuer, critical=False).sign(former.key, hashes.SHA256())


def has_issued(issuer: x509.Certificate, issued: x509.Certificate) -> bool:
    """Whether one certificate vouches for another, by its name and its key."""
    try:
        issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _make_authority(names: Sequence[x509.GeneralName], now: datetime, name: x509.Name | None = None) -> Authority:
    """`name`: of the one that it follows; else it has one of its own, since two installations' would be mistaken for
    each other in a trust store."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = name or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"jitgate CA {serial:x}"[:40])])
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


def _issue(
    authority: Authority,
    between: Sequence[x509.Certificate],
    names: Sequence[x509.GeneralName],
    now: datetime,
    path: Path,
) -> x509.Certificate:
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
    write_private(path, _pem(certificate, *between) + _key_pem(key))
    return certificate


def _load_server(
    path: Path,
    authority: Authority,
    between: Sequence[x509.Certificate],
    names: Sequence[x509.GeneralName],
    now: datetime,
) -> x509.Certificate | None:
    """The server certificate on file; None if it has to be issued anew."""
    try:
        text = path.read_bytes()
        certificate, *shown = x509.load_pem_x509_certificates(text)
        certificate.verify_directly_issued_by(authority.certificate)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        fits = certificate.public_key() == _load_key(text).public_key() and set(held) == set(names)
        fits = fits and shown == list(between)
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return None
    return certificate if fits and certificate.not_valid_after_utc > now + RENEW_BEFORE else None


def _check_constraints(authority: x509.Certificate, names: Sequence[x509.GeneralName], directory: Path) -> None:
    permitted = set(_constraints(authority))
    for name in names:
        if _as_constraint(name) not in permitted:
            raise _broken(directory / "ca.pem", f"the certificate authority was not made for the host {name.value}")


def _constraints(authority: x509.Certificate) -> Sequence[x509.GeneralName]:
    return authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or ()


def _permitted(authority: x509.Certificate) -> list[x509.GeneralName]:
    """The names and addresses that an authority can vouch for."""
    return [_named(each) for each in _constraints(authority)]


def _named(constraint: x509.GeneralName) -> x509.GeneralName:
    """The name or address that a constraint permits; `_as_constraint` the other way round."""
    if not isinstance(constraint, x509.IPAddress):
        return constraint
    network = constraint.value
    assert isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network)
    return x509.IPAddress(network.network_address)


def _keys(path: Path) -> Succession[bytes]:
    return succession.parse(path.read_bytes())


def _certificates(path: Path) -> list[x509.Certificate]:
    content = path.read_bytes()
    return x509.load_pem_x509_certificates(content) if content.strip() else []


def _publics(certificates: Sequence[x509.Certificate]) -> list[object]:
    return [each.public_key() for each in certificates]


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def _broken(certificate: Path, what: str) -> Invalid:
    return Invalid(
        "listen",
        f"{what}; to make another authority, move ca.pem, ca.key, {HANDOVER} and server.pem out of "
        f"{certificate.parent}, start again, and give the new ca.pem to all clients",
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
