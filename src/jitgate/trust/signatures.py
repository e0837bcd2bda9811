"""Ed25519 signatures (RFC 8032): who said something, and for what purpose.

The purpose is signed with the message, so that what was signed for one use can never be passed off for another.
Keys and signatures travel as base64url without padding.
"""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jitgate.trust.files import create_private

_SIGNATURE_BYTES, _KEY_BYTES = 64, 32
_HEAD, _FOOT = b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----"
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the 32 bytes of an Ed25519 key in a file (RFC 8410, section 7). Read and written here, because
what else could do it takes three megabytes of every host's memory."""


class Forged(Exception):
    """Something was not signed by whom it claims to be from."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key. Its only printed form is its public half."""

    _key: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"

    @property
    def public(self) -> str:
        """The public half, as others keep it."""
        return encode(self._key.public_key().public_bytes_raw())

    def sign(self, purpose: str, message: bytes) -> str:
        """The signature of a message for one purpose."""
        return encode(self._key.sign(_bound(purpose, message)))


def make() -> SigningKey:
    """A new key, from the system's source of chance."""
    return SigningKey(Ed25519PrivateKey.generate())


def ensure(path: Path) -> SigningKey:
    """The key in a file of mode 600, made if there is none. Raises ValueError for a damaged file, OSError."""
    if not path.exists():
        create_private(path, new_pem())
    return load(path)


def new_pem() -> bytes:
    """A new key, as it stands in a file."""
    made = base64.b64encode(_PKCS8 + Ed25519PrivateKey.generate().private_bytes_raw())
    return b"\n".join([_HEAD, made, _FOOT, b""])


def load(path: Path) -> SigningKey:
    """The key in a file. Raises ValueError if it holds none, OSError."""
    try:
        return read(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None


def read(pem: bytes) -> SigningKey:
    """A key as ``openssl genpkey -algorithm ed25519`` writes one. Raises ValueError if it is none."""
    try:
        head, held, foot = pem.split(b"\n", 2)
        data = base64.b64decode(held, validate=True)
    except ValueError:
        head, data, foot = b"", b"", b""
    if (head, foot.strip()) != (_HEAD, _FOOT) or data[:-_KEY_BYTES] != _PKCS8:
        raise ValueError("does not hold an Ed25519 private key as PEM (PKCS #8, without a password)")
    return SigningKey(Ed25519PrivateKey.from_private_bytes(data[-_KEY_BYTES:]))


def verify(public: str, purpose: str, message: bytes, signature: str) -> None:
    """Raises Forged unless the holder of `public` signed this message for this purpose."""
    try:
        key = Ed25519PublicKey.from_public_bytes(decode(public, _KEY_BYTES))
        key.verify(decode(signature, _SIGNATURE_BYTES), _bound(purpose, message))
    except (InvalidSignature, ValueError):
        raise Forged(f"the signature for {purpose!r} is not by {public[:50]!r}") from None


def is_signed(public: str, purpose: str, message: bytes, signature: str) -> bool:
    """Whether the holder of `public` signed this message for this purpose."""
    try:
        verify(public, purpose, message, signature)
    except Forged:
        return False
    return True


def check_public(text: str) -> str:
    """A public key as it came. Raises ValueError if it is none."""
    Ed25519PublicKey.from_public_bytes(decode(text, _KEY_BYTES))
    return text


def encode(data: bytes) -> str:
    """Bytes as they travel."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str, length: int | None = None) -> bytes:
    """Bytes as they were; `length`: how many there must be. Raises ValueError, also for another spelling."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"{text[:50]!r} is not base64url") from error
    if encode(data) != text or (length is not None and len(data) != length):
        raise ValueError(f"{text[:50]!r} is not base64url of {length} bytes")
    return data


def _bound(purpose: str, message: bytes) -> bytes:
    return b"jitgate " + purpose.encode("ascii") + b"\0" + message
