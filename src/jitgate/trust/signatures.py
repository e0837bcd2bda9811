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
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from jitgate.trust.files import create_private

_SIGNATURE_BYTES, _KEY_BYTES = 64, 32


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
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if not path.exists():
        create_private(path, made)
    return load(path)


def load(path: Path) -> SigningKey:
    """The key in a file. Raises ValueError if it holds none, OSError."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} does not hold an Ed25519 key")
    return SigningKey(key)


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
