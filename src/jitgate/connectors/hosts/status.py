"""A host's status, for people and for programs."""

from collections.abc import Iterator
from typing import Any

from jitgate.connectors.hosts.on_site import Status
from jitgate.core import prefixes
from jitgate.core.desired import SessionEnd


def as_text(status: Status) -> Iterator[str]:
    """Lines for people."""
    where = f" (namespace {status.host.namespace})" if status.host.namespace else ""
    agent = f"agent {status.agent}" if status.agent else "no agent is running"
    yield f"{status.host.name}{where}: {_state(status)}; {agent}"
    for protocol, port, session in status.ports:
        ends = "sessions end with their grant" if session is SessionEnd.END else "sessions are kept at expiry"
        yield f"  shut  {protocol.lower()}/{port}, {ends}"
    for opening in status.openings:
        key = opening.key
        yield (
            f"  open  {key.protocol.lower()}/{key.port} from {prefixes.text(key.prefix)}"
            f" for {_left(opening.left)}, until {opening.end:%Y-%m-%d %H:%M:%S} UTC"
        )


def as_json(status: Status) -> dict[str, Any]:
    """The same for programs."""
    return {
        "name": status.host.name,
        "namespace": status.host.namespace,
        "agentPid": status.agent,
        "error": status.error,
        "released": None if status.release is None else _release(status),
        "protected": [
            {"port": port, "protocol": str(protocol), "sessions": str(session)}
            for protocol, port, session in status.ports
        ],
        "open": [
            {
                "port": opening.key.port,
                "protocol": str(opening.key.protocol),
                "source": opening.key.prefix,
                "endTimeUtc": opening.end.isoformat(timespec="milliseconds"),
                "secondsLeft": round(opening.left, 3),
            }
            for opening in status.openings
        ],
    }


def _state(status: Status) -> str:
    if status.error:
        return f"unknown, {status.error}"
    if status.release is not None:
        return f"RELEASED. {status.release}"
    return "protected" if status.ports else "nothing is protected"


def _release(status: Status) -> dict[str, str]:
    assert status.release is not None
    return {"by": status.release.by, "at": status.release.at, "reason": status.release.why}


def _left(seconds: float) -> str:
    hours, rest = divmod(max(0, int(seconds)), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
