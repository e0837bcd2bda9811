"""A certificate of the operator's own: by an authority that browsers know already, or by the company's.

Others replace its files while the server runs (certbot, cert-manager), one after the other. So they are read whole and
judged together, and what does not hold together is not taken.
"""

import hashlib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from jitgate.core.errors import Invalid
from jitgate.trust.certificates import has_issued
from jitgate.trust.pins import certificates_in

CERTIFICATE, KEY = "server.certificate_file", "server.certificate_key_file"
_OTHERS_MAY = 0o007
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate's file, with those of its issuers after it, and the file of its key. Both PEM."""

    certificate: Path
    key: Path

    def digest(self) -> str:
        """What tells the files' contents from any others. Raises Invalid."""
        return hashlib.sha256(_read(self.certificate, CERTIFICATE) + b"\0" + _read(self.key, KEY)).hexdigest()


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """One that may be served. `names`: DNS names, in lower case, with wildcards; `authority`: PEM, what vouches for it
    in the end; `context`: serves it."""

    names: tuple[str, ...]
    authority: str
    begins_at: datetime
    ends_at: datetime
    context: ssl.SSLContext

    def is_for(self, name: str | None) -> bool:
        """Whether it holds a name that a client has asked for."""
        return name is not None and any(_fits(each, name.lower()) for each in self.names)


def load(pair: Pair, names: Sequence[str], now: datetime) -> OwnCertificate:
    """The certificate in two files, if clients that call the server by one of `names` will believe it.

    Raises Invalid, naming the setting and what is wrong.
    """
    chain = _chain(pair.certificate)
    leaf = chain[0]
    _check_key(pair, leaf)
    _check_time(pair, leaf, now)
    _check_order(pair, chain)
    held = _dns_names(leaf)
    if not any(_fits(each, name) for each in held for name in names):
        raise Invalid(
            CERTIFICATE,
            f"{pair.certificate} is for {', '.join(held) or 'no DNS name'}, and nobody calls the server that",
            allowed="a certificate for one of " + ", ".join(names) + "; more names go into server.allowed_hosts",
        )
    authority = _authority(pair, chain).public_bytes(Encoding.PEM).decode("ascii")
    return OwnCertificate(held, authority, leaf.not_valid_before_utc, leaf.not_valid_after_utc, _context(pair))


def validity(certificate: Path) -> tuple[datetime, datetime]:
    """When the certificate in a file begins and ends. Raises Invalid."""
    leaf = _chain(certificate)[0]
    return leaf.not_valid_before_utc, leaf.not_valid_after_utc


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, CERTIFICATE))
    except ValueError as error:
        raise Invalid(
            CERTIFICATE, f"{path} holds no certificate ({error})", allowed="PEM, the server's first"
        ) from None


def _check_key(pair: Pair, leaf: x509.Certificate) -> None:
    mode = pair.key.stat().st_mode if pair.key.exists() else 0
    if mode & _OTHERS_MAY:
        message = f"{pair.key} can be read by everybody on this machine (mode {mode & 0o777:o})"
        raise Invalid(KEY, message, allowed="mode 600, or 640 with a group of jitgate's; count the old key as known")
    try:
        key = load_pem_private_key(_read(pair.key, KEY), password=None)
    except (ValueError, TypeError) as error:
        raise Invalid(
            KEY, f"{pair.key} holds no key ({error})", allowed="a private key, PEM, without password"
        ) from None
    if key.public_key() != leaf.public_key():
        message = f"{pair.key} is not the key of {pair.certificate}"
        raise Invalid(KEY, message, allowed="the key that the certificate was made for")


def _check_time(pair: Pair, leaf: x509.Certificate, now: datetime) -> None:
    if now >= leaf.not_valid_after_utc:
        raise Invalid(
            CERTIFICATE, f"{pair.certificate} ended on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; renew it"
        )
    if now < leaf.not_valid_before_utc:
        message = f"{pair.certificate} begins on {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; is the clock right?"
        raise Invalid(CERTIFICATE, message)


def _check_order(pair: Pair, chain: Sequence[x509.Certificate]) -> None:
    for issued, issuer in pairwise(chain):
        if not has_issued(issuer, issued):
            message = f"{pair.certificate}: {_name(issuer)} has not issued {_name(issued)}, which stands before it"
            raise Invalid(CERTIFICATE, message, allowed="each certificate followed by its issuer's")


def _authority(pair: Pair, chain: Sequence[x509.Certificate]) -> x509.Certificate:
    """The one that ends the chain: in the file, or among those that this system trusts."""
    last = chain[-1]
    if has_issued(last, last):
        return last
    for known in _known_to_the_system(last.issuer):
        if has_issued(known, last):
            return known
    raise Invalid(
        CERTIFICATE,
        f"{pair.certificate} ends with a certificate by {last.issuer.rfc4514_string()}, which is not known here",
        allowed="the whole chain; put the authority's own certificate at its end, or among the system's",
    )


def _known_to_the_system(name: x509.Name) -> Iterator[x509.Certificate]:
    """The authorities of a name that this system trusts."""
    paths = ssl.get_default_verify_paths()
    folder = Path(paths.capath).glob("*.[0-9]") if paths.capath else ()
    for file in [Path(paths.cafile)] if paths.cafile else sorted(folder):
        for block in certificates_in(file.read_text("ascii", errors="replace")):
            # Others are not even parsed: there are very old ones among them, which is no matter of ours.
            if name.public_bytes() in ssl.PEM_cert_to_DER_cert(block):
                yield x509.load_pem_x509_certificate(block.encode("ascii"))


def _context(pair: Pair) -> ssl.SSLContext:
    try:
        return serving(pair.certificate, pair.key)
    except (OSError, ssl.SSLError) as error:
        message = f"{pair.certificate} and {pair.key} cannot be served: {error}"
        raise Invalid(CERTIFICATE, message, allowed="a chain and its key, PEM") from None


def serving(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """What serves a certificate with its chain. `key`: its file; None: it is in the same one. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _read(path: Path, setting: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise Invalid(setting, message, allowed="a file that the user who runs jitgate may read") from None
    if len(content) > _LARGEST:
        raise Invalid(setting, f"{path} is too large", allowed=f"PEM, at most {_LARGEST} bytes")
    return content


def _dns_names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))


def _fits(held: str, name: str) -> bool:
    """Whether a name of a certificate covers another (RFC 6125, 6.4.3: a wildcard stands for one label)."""
    if not held.startswith("*."):
        return held == name
    return "." in name and name.split(".", 1)[1] == held[2:]


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"
