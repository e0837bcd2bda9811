"""The keys that a host believes: one root key that it pinned when it joined, which vouches for all others.

::

    link-root.key         mode 600; signs key sets, and nothing else. It can be kept elsewhere between rotations
    link-controller.key   mode 600; signs what the server says to hosts
    link-keys.json        the key set: epoch, the controllers' public keys, the authorities of the server's TLS

A host takes over a set of a later epoch, and never an earlier one: a key that was rotated out stays out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jitgate.core.errors import Invalid
from jitgate.trust import signatures
from jitgate.trust.files import write_public
from jitgate.trust.signatures import Forged, SigningKey

ROOT, CONTROLLER, KEYS = "link-root.key", "link-controller.key", "link-keys.json"
_PURPOSE = "key set"


@dataclass(frozen=True, slots=True)
class KeySet:
    """`controllers`: who may speak for the server; `authorities`: PEM, what the server's TLS certificate is checked
    against, "" for the system's own."""

    epoch: int
    controllers: tuple[str, ...]
    authorities: str


@dataclass(frozen=True, slots=True)
class SignedKeys:
    """A key set as it travels: its bytes, and the root's signature of them."""

    body: str
    signature: str

    def opened(self, root: str) -> KeySet:
        """The set, if the root has signed it. Raises Forged."""
        signatures.verify(root, _PURPOSE, self.body.encode(), self.signature)
        return _read(self.body)


@dataclass(frozen=True, slots=True)
class Keyring:
    """What the server speaks with."""

    controller: SigningKey
    root: str
    signed: SignedKeys
    epoch: int


def ensure(directory: Path, authorities: str) -> Keyring:
    """The server's keys, made where there are none; a new key set where the TLS authorities have changed.

    Raises Invalid for damaged files, and where the root key is needed but kept elsewhere.
    """
    try:
        known = _load(directory)
        if known is None:
            return _renew(directory, authorities, epoch=1)
        held, ring = known
        current = held.authorities == authorities and ring.controller.public in held.controllers
        return ring if current else _renew(directory, authorities, epoch=held.epoch + 1)
    except (OSError, ValueError, Forged) as error:
        raise Invalid("--data-dir", f"the keys of the agent link in {directory} cannot be used: {error}") from error


def changed_at(directory: Path) -> int:
    """When the key set was last written, in nanoseconds; 0 if there is none."""
    try:
        return (directory / KEYS).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def rotate(directory: Path) -> int:
    """Replace the controller's key; the epoch of the new key set. Hosts take it over with the next answer they get.

    Raises Invalid.
    """
    try:
        known = _load(directory)
        if known is None:
            raise Invalid("--data-dir", f"there are no keys in {directory} yet; start `jitgate serve` once")
        (directory / CONTROLLER).unlink()
        return _renew(directory, known[0].authorities, epoch=known[0].epoch + 1).epoch
    except (OSError, ValueError, Forged) as error:
        raise Invalid("--data-dir", f"the keys of the agent link in {directory} cannot be used: {error}") from error


def _load(directory: Path) -> tuple[KeySet, Keyring] | None:
    path = directory / KEYS
    if not path.exists():
        return None
    told = json.loads(path.read_bytes())
    signed, root = SignedKeys(str(told["body"]), str(told["signature"])), str(told["root"])
    held = signed.opened(root)
    return held, Keyring(signatures.ensure(directory / CONTROLLER), root, signed, held.epoch)


def _renew(directory: Path, authorities: str, epoch: int) -> Keyring:
    root = _root(directory, first=epoch == 1)
    controller = signatures.ensure(directory / CONTROLLER)
    body = _write(KeySet(epoch, (controller.public,), authorities))
    signed = SignedKeys(body, root.sign(_PURPOSE, body.encode()))
    told = {"root": root.public, "body": signed.body, "signature": signed.signature}
    write_public(directory / KEYS, json.dumps(told, indent=1).encode())
    return Keyring(controller, root.public, signed, epoch)


def _root(directory: Path, *, first: bool) -> SigningKey:
    path = directory / ROOT
    if first or path.exists():
        return signatures.ensure(path)
    raise ValueError(f"{path} is needed to sign a new key set; bring it back for this, and take it away again")


def _write(keys: KeySet) -> str:
    told = {"epoch": keys.epoch, "controllers": list(keys.controllers), "authorities": keys.authorities}
    return json.dumps(told, separators=(",", ":"), sort_keys=True)


def _read(body: str) -> KeySet:
    """Raises Forged: what the root has signed is always understood."""
    try:
        told = json.loads(body)
        controllers: Sequence[str] = [signatures.check_public(str(key)) for key in told["controllers"]]
        return KeySet(int(told["epoch"]), tuple(controllers), str(told["authorities"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Forged(f"the key set is not understood: {error}") from None
