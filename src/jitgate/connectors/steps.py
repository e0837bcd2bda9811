"""The steps of a plan, for people: what a desired state would do to a firewall, worked out from itself alone."""

from collections.abc import Iterator, Sequence

from jitgate.connectors.base import Step
from jitgate.core.desired import Desired, SessionEnd

MOST_STEPS = 200
"""As many as a person reads; the rest is counted."""


def steps(desired: Desired) -> Sequence[Step]:
    """What carrying it out means, shutting first. Where it already stands, nothing happens."""
    found: list[Step] = []
    for step in _all(desired):
        if len(found) == MOST_STEPS:
            return (*found, Step("…", f"and more: {len(desired.protected) + len(desired.access)} lines in all"))
        found.append(step)
    return tuple(found)


def _all(desired: Desired) -> Iterator[Step]:
    for key, end in desired.access.items():
        if end is None:
            yield Step("shut", str(key))
    for key, until in desired.cut.items():
        yield Step("cut", f"sessions of {key}, until {until:%H:%M:%S} UTC")
    for port, protection in sorted(desired.protected.items()):
        fate = "end with their grant" if protection.session is SessionEnd.END else "are kept at expiry"
        yield Step("protect", f"{port}; sessions {fate}")
    for machine in sorted(desired.machines - {port.machine for port in desired.protected}):
        yield Step("release", f"machine {machine}: no port is protected")
    for key, end in desired.access.items():
        if end is not None:
            yield Step("open", f"{key} until {end:%Y-%m-%d %H:%M:%S} UTC")
