"""An order that somebody gives at the host itself: open everything, or protect again.

It lies in the host's directory until the agent has carried it out, so that neither side's death loses it; but not for
long, or it would open a host at some restart when nobody thinks of it any more. The agent is told to look by SIGHUP.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from jitgate.connectors.base import ConnectorError
from jitgate.trust.files import write_private

FILE = "order.json"
GOOD_FOR = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Order:
    """`release`: open everything; else protect again. `by` and `why` go on record. `at`: when it was given (UTC)."""

    release: bool
    by: str
    why: str
    at: datetime


def give(directory: Path, order: Order) -> None:
    """Lay the order down, in place of an earlier one. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = {"release": order.release, "by": order.by, "why": order.why, "at": order.at.isoformat()}
    write_private(directory / FILE, json.dumps(told).encode())


def standing(directory: Path, now: datetime) -> Order | None:
    """The order that is to be carried out, if there is one. One that was given too long ago is thrown away.

    Raises ConnectorError for one that cannot be read.
    """
    try:
        told = json.loads((directory / FILE).read_bytes())
        order = Order(bool(told["release"]), str(told["by"]), str(told["why"]), datetime.fromisoformat(told["at"]))
        age = now - order.at
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        raise ConnectorError(f"{directory / FILE} is not an order; remove it and give it again") from None
    if abs(age) <= GOOD_FOR:
        return order
    settle(directory)
    return None


def settle(directory: Path) -> None:
    """It is carried out, or void."""
    (directory / FILE).unlink(missing_ok=True)
