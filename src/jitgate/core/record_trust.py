"""Whose heads count: those of keys that are trusted, and of keys that these have handed over to.

The first head by another key is signed by the former one as well, for that very purpose. So who keeps the first public
key can check all that follows; and from then on the former key counts no more, whoever has come by it.
"""

from collections.abc import Callable, Collection

from jitgate.core.record import FOLLOWS, PURPOSE, Head

IsSigned = Callable[[str, str, bytes, str], bool]
"""Whether the holder of a public key has signed these bytes for a purpose: key, purpose, bytes, signature."""

_BETWEEN = "."


def joined(signature: str, vouching: str) -> str:
    """The signature of the first head by a key, with that of the former one."""
    return f"{signature}{_BETWEEN}{vouching}"


class Trust:
    """Looks at the heads of one record, in their order. `keys`: the public keys that are trusted from the start."""

    def __init__(self, keys: Collection[str], is_signed: IsSigned) -> None:
        self._trusted = set(keys)
        self._followed: set[str] = set()
        self._last = ""
        self.is_signed = is_signed

    def admits(self, head: Head, signature: str) -> bool:
        """Whether a key that counts here has signed this head."""
        by, _, vouching = signature.partition(_BETWEEN)
        if head.key in self._followed or not self.is_signed(head.key, PURPOSE, head.body, by):
            return False
        if head.key not in self._trusted and not self._is_vouched_for(head, vouching):
            return False
        if self._last not in ("", head.key):
            self._followed.add(self._last)
        self._trusted.add(head.key)
        self._last = head.key
        return True

    def _is_vouched_for(self, head: Head, vouching: str) -> bool:
        """By the key of the head before; where a part of a record begins with this one, by any that is trusted."""
        vouchers = {self._last} if self._last else self._trusted
        return any(self.is_signed(key, FOLLOWS, head.body, vouching) for key in vouchers)
