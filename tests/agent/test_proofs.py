"""What a host signs, and what is checked of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jitgate.connectors.base import Capabilities, Report
from jitgate.connectors.hosts import proofs
from jitgate.core.desired import AccessKey, PortKey, Protocol
from jitgate.core.prefixes import Prefix
from jitgate.trust import signatures
from jitgate.trust.signatures import Forged

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = signatures.make()
SSH = PortKey("1111", 22, Protocol.TCP)
ALLOW = AccessKey("1111", 22, Protocol.TCP, Prefix("203.0.113.7/32"))
SHUT = Report("fleet/jitgate/web-1", 1, {}, frozenset({ALLOW}), {SSH: ""}, Capabilities(True, True))


def test_a_report_that_says_something_else_than_its_proof_is_forged() -> None:
    signed = proofs.sign(SHUT, KEY, NOW)
    proofs.check(signed, KEY.public)
    with pytest.raises(Forged):
        proofs.check(replace(signed, shut=frozenset()), KEY.public)
    with pytest.raises(Forged):
        proofs.check(signed, signatures.make().public)


def test_nothing_is_proven_shut_without_a_word_of_a_port_that_is_open_to_all() -> None:
    """A host that its owner has released holds no port shut, whatever has ended there."""
    released = replace(SHUT, protected={SSH: "root released this host"})
    signed = proofs.sign(released, KEY, NOW)
    proofs.check(signed, KEY.public)
    assert signed.proof is not None
    assert json.loads(signed.proof.statement)["unprotected"] == ["1111 tcp/22"]
    with pytest.raises(Forged):
        proofs.check(replace(signed, protected={SSH: ""}), KEY.public)
