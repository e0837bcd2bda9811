"""Rules of iptables-legacy, which nf_tables knows nothing of: that there are some is all that is seen of them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jitgate.connectors.hosts import netns

_NAMES = ("ip_tables_names", "ip6_tables_names")
_WHAT = {"filter": "whether they deny what is opened", "nat": "whether they publish other ports"}


def unread(namespace: str | None, table: str) -> list[str]:
    """A sentence if such a table, "filter" or "nat", is in use in a namespace; else none. Raises ConnectorError."""
    if table not in netns.run_inside(namespace, lambda: set(_tables())):
        return []
    unknown = f"iptables-legacy has a {table} table here, whose rules are not read: {_WHAT[table]} is not known"
    return [f"{unknown}. iptables-legacy-save shows them; those of iptables-nft would be read"]


def _tables() -> Iterator[str]:
    for name in _NAMES:
        # Not there where the kernel has no such thing.
        with suppress(OSError):
            yield from Path("/proc/thread-self/net", name).read_text("ascii").split()
