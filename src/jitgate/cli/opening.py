"""Asking for access and waiting until it is there: what `open`, `ssh` and `proxy` share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgate.cli.exits import Exit, Failure, TimedOut
from jitgate.cli.server import Json, Server, path
from jitgate.cli.text import local, plain, port, short, sources
from jitgate.cli.words import PortWord

UNDER_WAY = ("opening", "closing")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants open."""

    machines: Sequence[str]
    ports: Sequence[PortWord]
    sources: Sequence[str]
    span: Mapping[str, str] = field(default_factory=dict)
    justification: str = ""
    start: str | None = None
    break_glass: bool = False

    def body(self) -> dict[str, Any]:
        """The wish as the server takes it."""
        ports = [{**word.body(), "sources": list(self.sources), **self.span} for word in self.ports]
        machines = [{"id": name, "ports": ports} for name in self.machines]
        start = {} if self.start is None else {"startTimeUtc": self.start}
        urgent = {"breakGlass": True} if self.break_glass else {}
        return {"machines": machines, "justification": self.justification, **start, **urgent}


def ask(server: Server, wish: Wish, *, wait: float = 0) -> Json:
    """Ask; the answer is the request, with what has become of it within so many seconds. Raises Failure."""
    return server.post("/requests", wish.body(), wait=min(wait, 30) or None)


def wait_until_open(server: Server, request: Json, seconds: float) -> Json:
    """The request once nothing is under way any more, or when the time is up."""
    return server.settle(path("requests", request["id"]), is_settled, request, seconds)


def is_settled(request: Json) -> bool:
    """Whether no firewall is still to do something for a request."""
    return not any(grant["state"] in UNDER_WAY for grant in request["grants"])


def check_open(grants: Sequence[Json]) -> None:
    """Raise Failure unless every grant is open, or will be at its start."""
    waiting = [grant for grant in grants if grant["state"] == "pending"]
    if waiting:
        raise Failure(_waiting(waiting[0]), exit=Exit.WAITING, body=_body("WaitingForApproval", grants))
    failed = [grant for grant in grants if grant["state"] in ("closing", "closed")]
    if failed:
        raise Failure("\n".join(map(_failed, failed)), body=_body("NotOpened", grants))
    late = [grant for grant in grants if grant["state"] == "opening"]
    if late:
        raise TimedOut("\n".join(map(_late, late)), body=_body("TimedOut", grants))


def describe(grant: Json) -> str:
    """A grant in a sentence."""
    what = f"{plain(grant['machine'])} port {port(grant)}"
    if grant["state"] == "scheduled":
        return f"{what} opens at {local(grant['startTimeUtc'])} for {sources(grant)}"
    return f"{what} is {grant['state']} for {sources(grant)} until {local(grant['endTimeUtc'])}"


def _waiting(grant: Json) -> str:
    what = f"{plain(grant['machine'])} port {port(grant)}"
    if grant["movedFrom"]:
        what = f"the move of {what} to {sources(grant)}"
        meanwhile = "it stays open for where it was until then, at most until its end"
    else:
        meanwhile = "nothing is open yet"
    return (
        f"{what} waits for approval; {meanwhile}. "
        f"It waits until {local(grant['waitUntilUtc'])}. Follow it with `jitgate ls --mine`; withdraw it with "
        f"`jitgate withdraw {short(grant['request'])}`."
    )


def _failed(grant: Json) -> str:
    why = plain(grant["detail"] or grant["reason"] or "no reason is known")
    return f"{plain(grant['machine'])} port {port(grant)} was not opened: {why}."


def _late(grant: Json) -> str:
    why = f" ({plain(grant['detail'])})" if grant["detail"] else ""
    return (
        f"{plain(grant['machine'])} port {port(grant)} is not open yet{why}. It is still being tried: "
        f"`jitgate ls` shows it, `jitgate done {short(grant['id'])}` withdraws it."
    )


def _body(code: str, grants: Sequence[Json]) -> dict[str, Any]:
    return {"code": code, "message": "not every port is open: see the states of the grants", "grants": list(grants)}
