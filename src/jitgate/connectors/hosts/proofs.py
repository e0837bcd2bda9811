"""A report, signed by the host itself: what it had open and shut, by its own key.

The statement is JSON: the scope, the generation, when by the host's clock, what was shut, and what stood with its end;
and, where there are any, the ports that were to be protected and were not, and so let everybody in: of these "shut"
proves only that nothing was open by a grant. Of very much that stands only the number and a digest (SHA-256 of the
sorted lines) are in it.
"""

import hashlib
import json
from dataclasses import replace
from datetime import datetime

from jitgate.connectors.base import Proof, Report
from jitgate.core.desired import AccessKey, PortKey
from jitgate.trust import signatures
from jitgate.trust.signatures import Forged, SigningKey

PURPOSE = "host report"
_MOST_NAMED = 15


def sign(report: Report, key: SigningKey, at: datetime) -> Report:
    """The report with its proof. `at`: the host's time of day (UTC)."""
    statement = _statement(report, at.isoformat(timespec="milliseconds"))
    return replace(report, proof=Proof(statement, PURPOSE, key.public, key.sign(PURPOSE, statement.encode())))


def check(report: Report, public: str) -> None:
    """Raises Forged unless the report has a proof by this key that says the same as the report."""
    proof = report.proof
    if proof is None or (proof.key, proof.purpose) != (public, PURPOSE):
        raise Forged("the report is not signed by the host")
    signatures.verify(proof.key, PURPOSE, proof.statement.encode(), proof.signature)
    try:
        said = json.loads(proof.statement)
        same = _statement(report, str(said["at"])) == proof.statement
    except (ValueError, KeyError, TypeError, RecursionError):
        same = False
    if not same:
        raise Forged("what the host has signed is not what it reports")


def _statement(report: Report, at: str) -> str:
    standing = sorted(f"{_name(key)} until {end.isoformat()}" for key, end in report.standing.items())
    shut = sorted(map(_name, report.shut))
    unprotected = sorted(map(_port, (key for key, why in report.protected.items() if why)))
    said: dict[str, object] = {
        "scope": report.scope,
        "generation": report.generation,
        "at": at,
        "complete": report.complete,
        "shut": _summary(shut),
        "standing": _summary(standing),
    }
    if unprotected:
        said["unprotected"] = _summary(unprotected)
    return json.dumps(said, separators=(",", ":"), sort_keys=True)


def _summary(lines: list[str]) -> list[str] | dict[str, object]:
    if len(lines) <= _MOST_NAMED:
        return lines
    return {"number": len(lines), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def _name(key: AccessKey) -> str:
    return f"{_port(key.target)} {key.prefix}"


def _port(key: PortKey) -> str:
    return f"{key.machine} {key.protocol.lower()}/{key.port}"
