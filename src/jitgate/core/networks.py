"""Named networks: what administrators call the places that people come from. They tell; they allow nothing.

::

    Networks([Network("office", (Prefix("203.0.113.0/24"),))]).name_of(Prefix("203.0.113.7/32"))   # "office"
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jitgate.core import prefixes
from jitgate.core.errors import Invalid
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import check_label

MOST_NETWORKS = 200
MOST_PREFIXES = 100
LONGEST_NOTE = 1000


@dataclass(frozen=True, slots=True)
class Network:
    """A network that an administrator has described. `prefixes`: canonical; `note`: what it is, for people."""

    name: str
    prefixes: tuple[Prefix, ...]
    note: str = ""


class Networks:
    """All named networks, to tell where a source lies."""

    def __init__(self, known: Iterable[Network]) -> None:
        # The narrowest first, so that the first that holds a source says the most about it.
        parts = [(prefix, network.name) for network in known for prefix in network.prefixes]
        self._parts = sorted(parts, key=lambda part: (-prefixes.length(part[0]), part[1]))

    def name_of(self, source: Prefix) -> str:
        """The network that the whole of a source lies in, the narrowest where there are several; "" for none."""
        return next((name for prefix, name in self._parts if prefixes.covers(prefix, source)), "")

    def names_of(self, sources: Iterable[Prefix]) -> dict[Prefix, str]:
        """The same for several sources; those that lie in none are left out."""
        if not self._parts:
            return {}
        return {source: name for source in sources if (name := self.name_of(source))}

    def name_of_address(self, address: str | None) -> str:
        """The network of an address or prefix as the record keeps it; "" also where there is none."""
        if not address or not self._parts:
            return ""
        try:
            return self.name_of(prefixes.canonical(address))
        except Invalid:
            return ""


def check(network: Network) -> Network:
    """Refuse a network without a good name or prefixes. Raises Invalid."""
    check_label(network.name, "name")
    if not 0 < len(network.prefixes) <= MOST_PREFIXES:
        raise Invalid("prefixes", f"{len(network.prefixes)} prefixes are given", allowed=f"1 to {MOST_PREFIXES}")
    if len(network.note) > LONGEST_NOTE:
        raise Invalid("note", f"the note has {len(network.note)} characters", allowed=f"at most {LONGEST_NOTE}")
    return network
