"""The tree of RFC 9162 over a batch."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.core import merkle

LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=40)

# The leaves and roots by which implementations of certificate transparency are compared.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def as_defined(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + as_defined(leaves[:split]) + as_defined(leaves[split:])).digest()


@pytest.mark.parametrize("size", ROOTS)
def test_the_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert merkle.root([merkle.leaf(bytes.fromhex(text)) for text in INPUTS[:size]]).hex() == ROOTS[size]


@given(leaves=st.lists(st.binary(max_size=8), max_size=40))
def test_the_root_is_the_one_that_the_rfc_defines(leaves: list[bytes]) -> None:
    assert merkle.root([merkle.leaf(one) for one in leaves]) == as_defined(leaves)


@given(leaves=LEAVES, data=st.data())
def test_a_proof_leads_from_each_leaf_to_the_root_and_from_no_other_place(
    leaves: list[bytes], data: st.DataObject
) -> None:
    hashed = [merkle.leaf(one) for one in leaves]
    root, index = merkle.root(hashed), data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.path(hashed, index)
    assert merkle.root_from(hashed[index], index, len(leaves), path) == root
    assert merkle.root_from(merkle.leaf(b"another leaf"), index, len(leaves), path) != root
    elsewhere = data.draw(st.integers(-1, len(leaves)).filter(lambda other: other != index))
    reached = merkle.root_from(hashed[index], elsewhere, len(leaves), path)
    assert reached != root or hashed[index] == hashed[elsewhere]
    assert merkle.root_from(hashed[index], index, len(leaves), [*path, root]) is None
    if path:
        assert merkle.root_from(hashed[index], index, len(leaves), path[:-1]) != root
