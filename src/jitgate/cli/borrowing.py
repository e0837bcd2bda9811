"""A port that is open for the length of a command, and shut after it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from jitgate.cli import opening, sharing
from jitgate.cli.exits import Failure
from jitgate.cli.interruptions import uninterrupted
from jitgate.cli.opening import Wish
from jitgate.cli.screen import Screen
from jitgate.cli.server import Json, Server, path
from jitgate.cli.sharing import Share
from jitgate.cli.text import moment
from jitgate.cli.words import PortWord
from jitgate.core import duration, prefixes
from jitgate.core.desired import Protocol
from jitgate.core.prefixes import Prefix

LIVE = ("opening", "open")
SHORTEST_REST = timedelta(minutes=1)
SHUT_SECONDS = 5.0
"""How long a command that has ended stays to see its port shut; the server goes on without it."""


@dataclass(frozen=True, slots=True)
class Borrowing:
    """How to borrow. `keep`: leave open what was opened, until its own end."""

    server: Server
    screen: Screen
    seconds: float
    keep: bool = False


@contextmanager
def borrowed(how: Borrowing, wish: Wish) -> Iterator[list[Json]]:
    """Grants for every wanted port, open. After the block, what was opened for it is shut, if nobody else uses it.

    A live grant of one's own that covers what is wanted is used in place of a new one. Raises Failure.
    """
    with ExitStack() as stack:
        grants: list[Json] = []
        for machine in wish.machines:
            wanted = replace(wish, machines=[machine])
            found = _reuse(how, wanted, stack)
            missing = [port for port in wish.ports if port not in found]
            grants += found.values()
            if missing:
                grants += _ask(how, replace(wanted, ports=missing), stack)
        yield [_opened(how, grant) for grant in grants]


def _reuse(how: Borrowing, wish: Wish, stack: ExitStack) -> dict[PortWord, Json]:
    """One's own grants on a machine that already give what is wanted, by port."""
    mine = list(how.server.pages("/grants", machine=wish.machines[0], mine=True, state=LIVE))
    found: dict[PortWord, Json] = {}
    for port in wish.ports:
        grant = next((grant for grant in mine if covers(grant, port, wish, datetime.now(UTC))), None)
        if grant is not None and _use(how, grant, stack):
            found[port] = grant
    return found


def _use(how: Borrowing, grant: Json, stack: ExitStack) -> bool:
    """Join who else uses a grant. False: the last of them has shut it meanwhile."""
    share = sharing.join(grant["id"], os.environ)
    if share is not None:
        stack.callback(_give_back, how, grant["id"], share)
    return how.server.get(path("grants", grant["id"]))["state"] in LIVE


def _ask(how: Borrowing, wish: Wish, stack: ExitStack) -> list[Json]:
    # A signal must not fall between the server's yes and the note that this has to be shut again.
    with uninterrupted():
        grants: list[Json] = opening.ask(how.server, wish)["grants"]
        for grant in () if how.keep else grants:
            stack.callback(_give_back, how, grant["id"], sharing.begin(grant["id"], os.environ))
    return grants


def _give_back(how: Borrowing, grant: str, share: Share) -> None:
    """Shut a grant that nobody uses any more. Its own end shuts it if that fails."""
    with uninterrupted(), share.leave() as is_last:
        if not is_last:
            return
        try:
            how.server.post(path("grants", grant, "close"), wait=SHUT_SECONDS)
        except Failure as failure:
            how.screen.note(f"The port could not be shut now, it shuts at its end. {failure.message}", "yellow")


def _opened(how: Borrowing, grant: Json) -> Json:
    """A grant once it is open. Raises Failure."""
    settled = how.server.settle(
        path("grants", grant["id"]), lambda it: it["state"] not in opening.UNDER_WAY, grant, how.seconds
    )
    opening.check_open([settled])
    return settled


def covers(grant: Json, port: PortWord, wish: Wish, now: datetime) -> bool:
    """Whether a grant gives all that is wanted of a port, for as long as that is wanted."""
    end = moment(grant["endTimeUtc"])
    return (
        grant["port"] == port.number
        and _covers_protocol(grant["protocol"], port.protocol)
        and _covers_sources(grant["sources"], wish.sources)
        and end is not None
        and end >= _needed_end(wish, now)
    )


def _covers_protocol(granted: str, wanted: str | None) -> bool:
    return wanted is None or set(Protocol(wanted).each) <= set(Protocol(granted).each)


def _covers_sources(granted: Sequence[str], wanted: Sequence[str]) -> bool:
    return prefixes.all_covered(
        prefixes.parse_all(wanted, "--from"), [Prefix(prefixes.canonical(text)) for text in granted]
    )


def _needed_end(wish: Wish, now: datetime) -> datetime:
    if "endTimeUtc" in wish.span:
        return datetime.fromisoformat(wish.span["endTimeUtc"])
    if "duration" in wish.span:
        return now + duration.parse(wish.span["duration"], "--for").length
    return now + SHORTEST_REST
