"""Matches and tables in nftables' words, put in force in network namespaces."""

import ipaddress
import subprocess
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FAMILIES = {4: "ip", 6: "ip6"}

Prefixes = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """Addresses at one end of a packet: these prefixes, or (`all_but`) all others. Nothing listed: none, or all."""

    prefixes: Prefixes = ()
    all_but: bool = False

    def text(self, family: int, end: str) -> str | None:
        """For packets of a family; None: none of them fits."""
        mine = [each for each in self.prefixes if ipaddress.ip_network(each, strict=False).version == family]
        if not mine:
            return f"meta nfproto ipv{family}" if self.all_but else None
        return f"{FAMILIES[family]} {end} {'!= ' if self.all_but else ''}{{ {', '.join(mine)} }}"


EVERYTHING = Match(all_but=True)


def merged(matches: Iterable[Match]) -> Match:
    """What any of several matches; at most one of them says all but something."""
    listed = list(matches)
    return next((each for each in listed if each.all_but), Match(tuple(p for each in listed for p in each.prefixes)))


def chain(name: str, hook: str, rules: Sequence[str]) -> str:
    """A chain; without a hook it is one to jump to."""
    lines = [hook] if hook else []
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in [*lines, *rules]) + "  }\n"


def table(name: str, chains: Iterable[str]) -> str:
    """A whole table in place of the one of its name, in one transaction: connections that are known stay known."""
    return f"table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n{''.join(chains)}}}\n"


class Filters:
    """Keeps tables of namespaces as they are told, and touches nothing where nothing has changed."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def load(self, namespace: str, name: str, text: str) -> None:
        """Have a table stand in a namespace, by its name. Raises CalledProcessError when nft refuses."""
        with self._lock:
            if self._loaded.get((namespace, name)) == text:
                return
            command = ["ip", "netns", "exec", namespace, "nft", "-f", "-"]
            subprocess.run(command, input=text, text=True, check=True, capture_output=True, timeout=30)
            self._loaded[namespace, name] = text
