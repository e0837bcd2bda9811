"""Which mapped port stands for which port of which machine. Once given it stays, also while nothing protects the port:
people have it in their configuration."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from jitgate.connectors.base import ConnectorError
from jitgate.core.desired import PortKey
from jitgate.trust.files import write_private

FILE = "ports.json"


class MappedPorts:
    """The mapped ports of one gateway, on disk before anybody is told. Raises ConnectorError when it is made from a
    file that is damaged."""

    def __init__(self, directory: Path, first: int, last: int) -> None:
        self._path = directory / FILE
        self._range = range(first, last + 1)
        self._given = self._read()

    def of(self, key: PortKey) -> int | None:
        """The mapped port, if one has been given."""
        return self._given.get(_name(key))

    def of_machine(self, machine: str) -> dict[int, int]:
        """All mapped ports of a machine, by its own."""
        split = ([*name.split(), str(port)] for name, port in self._given.items())
        return {int(own): int(mapped) for uuid, own, mapped in split if uuid == machine}

    def give(self, keys: Iterable[PortKey], in_use: Iterable[PortKey], is_free: Callable[[int], bool]) -> set[PortKey]:
        """Give a port to each key that has none; the keys that are new.

        `in_use`: what must keep its port. When all are given, the one that was given first and is not in use goes.
        A key that is left without a port is one too many. Raises OSError when they cannot be kept.
        """
        new = {key for key in keys if _name(key) not in self._given}
        if not new:
            return new
        keep = {_name(key) for key in in_use} | {_name(key) for key in keys}
        given = dict(self._given)
        for key in sorted(new):
            if (port := self._next(given, keep, is_free)) is not None:
                given[_name(key)] = port
        # What could not be written is not given: the next time they are new still.
        write_private(self._path, json.dumps(given, indent=1).encode())
        self._given = given
        return new

    def _next(self, given: dict[str, int], keep: set[str], is_free: Callable[[int], bool]) -> int | None:
        taken = set(given.values())
        free = next((port for port in self._range if port not in taken and is_free(port)), None)
        if free is not None:
            return free
        for name in [name for name in given if name not in keep]:
            port = given.pop(name)
            if port in self._range and is_free(port):
                return port
        return None

    def _read(self) -> dict[str, int]:
        """What was given, in that order; without what is outside the range now."""
        try:
            told = json.loads(self._path.read_bytes())
            return {str(name): int(port) for name, port in told.items() if int(port) in self._range}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise ConnectorError(
                f"{self._path} is damaged ({error}); if you remove it, machines get other mapped ports", retry=False
            ) from None


def _name(key: PortKey) -> str:
    return f"{key.machine} {key.port}"
