"""The keys that a host believes: one root key that it pinned when it joined, which vouches for all others.

::

    link-root.key         mode 600; signs key sets, and nothing else. It can be kept elsewhere between rotations
    link-controller.key   mode 600; signs what the server says to hosts
    link-keys.json        the key set: epoch, public keys of controllers and roots, authorities of the server's TLS

A host takes over a set of a later epoch, and never an earlier one: a key that was rotated out stays out. A set names
the roots that may sign later ones, so another root can follow: the former names it, and a host that takes over a set
which the next one has signed believes the former no more. Sets with which a former root has handed over are kept, for
hosts that were away.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jitgate.core.errors import Invalid
from jitgate.trust import signatures, succession
from jitgate.trust.files import create_private, write_private, write_public
from jitgate.trust.signatures import Forged, SigningKey
from jitgate.trust.succession import Succession

ROOT, CONTROLLER, KEYS = "link-root.key", "link-controller.key", "link-keys.json"
_PURPOSE = "key set"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeySet:
    """`controllers`: who may speak for the server; `authorities`: PEM, what the server's TLS certificate is checked
    against, "" for the system's own; `roots`: who may sign the next set, besides who has signed this one."""

    epoch: int
    controllers: tuple[str, ...]
    authorities: str
    roots: tuple[str, ...] = ()


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
    """What the server speaks with. `handed_over`: the sets with which former roots have, the oldest first."""

    controllers: Succession[SigningKey]
    root: str
    signed: SignedKeys
    epoch: int
    handed_over: tuple[SignedKeys, ...] = ()

    def controller(self, now: datetime) -> SigningKey:
        """The key that signs what is said to hosts."""
        return self.controllers.current(now)


def ensure(directory: Path, authorities: str) -> Keyring:
    """The server's keys, made where there are none; a new key set where keys or the TLS authorities have changed.

    Raises Invalid for damaged files, and where the root key is needed but kept elsewhere.
    """
    try:
        known = _load(directory)
        if known is None:
            return _renew(directory, authorities, None)
        held, ring = known
        is_current = held.authorities == authorities and held.controllers == _publics(ring.controllers)
        return ring if is_current else _renew(directory, authorities, known)
    except (OSError, ValueError, Forged) as error:
        raise _unusable(directory, error) from error


def read(directory: Path) -> Keyring:
    """The server's keys as they are on file. Raises Invalid."""
    return _known(directory)[1]


def _changed_at(directory: Path) -> tuple[int, ...]:
    """When the key set and the controllers' keys were last written, in nanoseconds; 0 for a file that is not there.
    Whoever copies them from another replica copies one after the other."""
    return tuple(_written(directory / name) for name in (KEYS, CONTROLLER))


class OnFile:
    """The keyring of a directory, read again when somebody has rotated keys. What cannot be read is logged, and what
    was known stays. Polls by the hundred a second ask for it, so its files are looked at now and then only.

    `elapsed`: seconds on a clock that nobody sets. Raises Invalid when it is made.
    """

    LOOKS_EVERY_SECONDS = 0.1

    def __init__(self, directory: Path, elapsed: Callable[[], float]) -> None:
        self._directory = directory
        self._elapsed = elapsed
        self._looked_at = elapsed()
        self._seen = _changed_at(directory)
        self._ring = read(directory)

    def now(self) -> Keyring:
        """The keyring at this moment."""
        now = self._elapsed()
        if now - self._looked_at >= self.LOOKS_EVERY_SECONDS:
            self._looked_at = now
            self._look()
        return self._ring

    def _look(self) -> None:
        found = _changed_at(self._directory)
        if found == self._seen:
            return
        self._seen = found
        try:
            self._ring = read(self._directory)
        except Invalid as error:
            _log.error("the keys of the agents' link stay as they were: %s", error.message)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def follow_controller(directory: Path, since: datetime, now: datetime) -> None:
    """Have another key sign what is said to hosts, from a moment on; they are told of it at once. Those that it has
    followed before go. Raises Invalid, ValueError where one waits."""
    _follow(directory, CONTROLLER, since, now, kept=lambda keys: keys.without_former(now))


def follow_root(directory: Path, now: datetime) -> None:
    """Have another root key be told to hosts. The former signs until it is retired. Raises Invalid, ValueError."""
    known = _known(directory)
    if len(_succession(directory / ROOT).entries) > 1:
        raise ValueError("the next root key is there already; once all hosts know it, retire the former one")
    _follow(directory, ROOT, now, now, known=known)


def must_have_root(directory: Path) -> None:
    """Raises Invalid where no new key set could be signed: the root key is kept elsewhere, or damaged."""
    try:
        _roots(directory, is_first=False)
    except (OSError, ValueError) as error:
        raise _unusable(directory, error) from error


def retire_controller(directory: Path, now: datetime) -> int:
    """Have hosts believe former keys no more; how many. Raises Invalid."""
    known = _known(directory)
    keys = _succession(directory / CONTROLLER)
    kept = keys.without_former(now)
    return _put(directory, CONTROLLER, keys, kept, known)


def retire_root(directory: Path) -> int:
    """Have the next root key sign, and the former be believed no more; how many those were. Raises Invalid."""
    known = _known(directory)
    keys = _succession(directory / ROOT)
    return _put(directory, ROOT, keys, Succession(keys.entries[-1:]), known)


def _follow(
    directory: Path,
    name: str,
    since: datetime,
    now: datetime,
    *,
    known: tuple[KeySet, Keyring] | None = None,
    kept: Callable[[Succession[bytes]], Succession[bytes]] = lambda keys: keys,
) -> None:
    known = known or _known(directory)
    keys = _succession(directory / name)
    _put(directory, name, keys, kept(keys).followed_by(signatures.new_pem(), since, now), known)


def _put(
    directory: Path, name: str, former: Succession[bytes], keys: Succession[bytes], known: tuple[KeySet, Keyring]
) -> int:
    """Write a file of keys, and sign a set that tells of it; how many keys have gone."""
    try:
        must_have_root(directory)
        write_private(directory / name, succession.encode(keys))
        _renew(directory, known[0].authorities, known)
    except (OSError, ValueError, Forged) as error:
        raise _unusable(directory, error) from error
    return sum(1 for entry in former.entries if entry not in keys.entries)


def _known(directory: Path) -> tuple[KeySet, Keyring]:
    try:
        known = _load(directory)
    except (OSError, ValueError, Forged) as error:
        raise _unusable(directory, error) from error
    if known is None:
        raise Invalid("--data-dir", f"there are no keys in {directory} yet; start `jitgate serve` once")
    return known


def _load(directory: Path) -> tuple[KeySet, Keyring] | None:
    path = directory / KEYS
    if not path.exists():
        return None
    told = json.loads(path.read_bytes())
    signed, root = _signed(told), str(told["root"])
    held = signed.opened(root)
    handed_over = tuple(map(_signed, told.get("handedOver", ())))
    return held, Keyring(_controllers(directory), root, signed, held.epoch, handed_over)


def _signed(told: Any) -> SignedKeys:
    return SignedKeys(str(told["body"]), str(told["signature"]))


def _renew(directory: Path, authorities: str, known: tuple[KeySet, Keyring] | None) -> Keyring:
    roots = _roots(directory, is_first=known is None)
    controllers = _controllers(directory)
    signer = roots.entries[0].key
    handed_over = known[1].handed_over if known else ()
    if known and known[1].root != signer.public:
        handed_over = (*handed_over, known[1].signed)
    epoch = known[0].epoch + 1 if known else 1
    body = _write(KeySet(epoch, _publics(controllers), authorities, _publics(roots)))
    signed = SignedKeys(body, signer.sign(_PURPOSE, body.encode()))
    told = {"root": signer.public, **as_json(signed), "handedOver": list(map(as_json, handed_over))}
    write_public(directory / KEYS, json.dumps(told, indent=1).encode())
    return Keyring(controllers, signer.public, signed, epoch, handed_over)


def as_json(signed: SignedKeys) -> dict[str, str]:
    """A set as it stands in files and answers."""
    return {"body": signed.body, "signature": signed.signature}


def _controllers(directory: Path) -> Succession[SigningKey]:
    path = directory / CONTROLLER
    if not path.exists():
        create_private(path, signatures.new_pem())
    return _succession(path).map(signatures.read)


def _roots(directory: Path, *, is_first: bool) -> Succession[SigningKey]:
    path = directory / ROOT
    if is_first and not path.exists():
        create_private(path, signatures.new_pem())
    if not path.exists():
        raise ValueError(f"{path} is needed to sign a new key set; bring it back for this, and take it away again")
    return _succession(path).map(signatures.read)


def _succession(path: Path) -> Succession[bytes]:
    return succession.parse(path.read_bytes())


def _publics(keys: Succession[SigningKey]) -> tuple[str, ...]:
    return tuple(entry.key.public for entry in keys.entries)


def _unusable(directory: Path, error: Exception) -> Invalid:
    return Invalid("--data-dir", f"the keys of the agent link in {directory} cannot be used: {error}")


def _write(keys: KeySet) -> str:
    told = {
        "epoch": keys.epoch,
        "controllers": list(keys.controllers),
        "authorities": keys.authorities,
        "roots": list(keys.roots),
    }
    return json.dumps(told, separators=(",", ":"), sort_keys=True)


def _read(body: str) -> KeySet:
    """Raises Forged: what the root has signed is always understood."""
    try:
        told = json.loads(body)
        controllers, roots = _keys(told["controllers"]), _keys(told.get("roots", ()))
        return KeySet(int(told["epoch"]), controllers, str(told["authorities"]), roots)
    except (ValueError, KeyError, TypeError) as error:
        raise Forged(f"the key set is not understood: {error}") from None


def _keys(told: Sequence[Any]) -> tuple[str, ...]:
    return tuple(signatures.check_public(str(key)) for key in told)
