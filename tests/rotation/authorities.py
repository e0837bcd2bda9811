"""Authorities of others: what an operator gets a certificate from."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Issuer:
    """One with a certificate in between, as they mostly have."""

    def __init__(self, name: str) -> None:
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = _certificate(f"{name} root", self._root_key.public_key(), f"{name} root", self._root_key, ca=True)
        self.between = _certificate(name, self._key.public_key(), f"{name} root", self._root_key, ca=True)
        self._name = name

    def issue(
        self,
        to: Path,
        names: tuple[str, ...] = ("localhost",),
        *,
        begins: timedelta = -DAY,
        ends: timedelta = 90 * DAY,
        chain: bool = True,
    ) -> tuple[Path, Path]:
        """A certificate with its chain, and its key, written to two files below a directory; which ones."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(names[0], key.public_key(), self._name, self._key, names, begins=begins, ends=ends)
        certificate, secret = to / "fullchain.pem", to / "privkey.pem"
        to.mkdir(exist_ok=True)
        secret.touch(0o600)
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        certificate.write_bytes(b"".join(map(pem, (made, self.between, self.root) if chain else (made,))))
        return certificate, secret


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _certificate(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...] = (),
    *,
    ca: bool = False,
    begins: timedelta = -DAY,
    ends: timedelta = 90 * DAY,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
    return builder.sign(signer, hashes.SHA256())
