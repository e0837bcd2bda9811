"""The gateways of one process and the machines behind them, as the file that it is given.

``DIR/gateways.json`` is written by whoever starts the process; ``DIR/gateway/NAME`` holds what must outlive it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jitgate.connectors.base import ConnectorError
from jitgate.trust.files import write_private

FILE, DIRECTORY = "gateways.json", "gateway"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - a door stands open while a grant is live, and for its sources only


@dataclass(frozen=True, slots=True)
class Target:
    """A machine behind a gateway. `uuid`: the machine, for ever. `address`: where the gateway finds it. `os`: "" where
    the server's own settings say it."""

    name: str
    uuid: str
    address: str
    os: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """One gateway.

    `address`          where people connect to
    `listen`           the addresses that it listens on
    `ports`            the first and the last mapped port
    `probe_from`       addresses of this machine that the targets do not admit, to prove just that
    `most_connections` at once, and `most_per_source` of them from one address
    `joined_as`        the scope that a server elsewhere gave it, "" for a gateway beside its server
    """

    name: str
    address: str
    targets: tuple[Target, ...]
    listen: tuple[str, ...] = EVERYWHERE
    ports: tuple[int, int] = (40000, 40999)
    probe_from: tuple[str, ...] = ()
    most_connections: int = 4096
    most_per_source: int = 256
    joined_as: str = ""

    @property
    def scope(self) -> str:
        return self.joined_as or f"gateway/{self.name}"

    def directory(self, state: Path) -> Path:
        """Where this gateway keeps what must outlive its process."""
        return state / DIRECTORY / self.name


def write(state: Path, places: Sequence[Place]) -> None:
    """Write the file, whole or not at all, and make the directories. Raises OSError."""
    (state / DIRECTORY).mkdir(mode=0o700, parents=True, exist_ok=True)
    for place in places:
        place.directory(state).mkdir(mode=0o700, exist_ok=True)
    write_private(state / FILE, json.dumps([asdict(place) for place in places], indent=1).encode())


def read(state: Path) -> tuple[Place, ...]:
    """The gateways in the file; none where there is no file. Raises ConnectorError if it is not understood."""
    path = state / FILE
    try:
        return tuple(map(_place, list(json.loads(path.read_bytes()))))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConnectorError(f"{path} is damaged ({error})") from None


def _place(told: dict[str, Any]) -> Place:
    first, last = told["ports"]
    return Place(
        name=told["name"],
        address=told["address"],
        targets=tuple(Target(**each) for each in told["targets"]),
        listen=tuple(told["listen"]),
        ports=(int(first), int(last)),
        probe_from=tuple(told["probe_from"]),
        most_connections=int(told["most_connections"]),
        most_per_source=int(told["most_per_source"]),
        joined_as=told.get("joined_as", ""),
    )
