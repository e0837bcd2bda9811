"""A Merkle tree over leaves in their order: RFC 9162, section 2.1 (the tree of RFC 6962), with SHA-256.

A leaf and a node are hashed with different first bytes, so that neither can be passed off for the other.
"""

from collections.abc import Sequence
from hashlib import sha256

_LEAF, _NODE = b"\x00", b"\x01"
EMPTY = sha256().digest()
"""The root of no leaves."""


def leaf(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(_LEAF + data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over hashed leaves."""
    level = list(leaves)
    while len(level) > 1:
        # An odd one at the end goes up as it is: what RFC 9162 says of splitting at the largest power of two.
        level = [_pair(level, at) for at in range(0, len(level), 2)]
    return level[0] if level else EMPTY


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes beside the way from a leaf up to the root: its proof of inclusion."""
    level, found = list(leaves), []
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            found.append(level[beside])
        level = [_pair(level, at) for at in range(0, len(level), 2)]
        index //= 2
    return found


def root_from(hashed: bytes, index: int, size: int, beside: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its proof lead to; None where the proof does not fit such a tree.

    RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    last, left = size - 1, list(beside)
    while last:
        if index % 2 or index < last:
            if not left:
                return None
            other = left.pop(0)
            hashed = _node(other, hashed) if index % 2 else _node(hashed, other)
        index, last = index // 2, last // 2
    return None if left else hashed


def _pair(level: Sequence[bytes], at: int) -> bytes:
    return _node(level[at], level[at + 1]) if at + 1 < len(level) else level[at]


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()
