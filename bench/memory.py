"""How much memory the processes hold."""

from collections.abc import Iterator

from bench.figures import Row, number
from bench.installation import Installation


def measure(few: Installation, many: Installation) -> Iterator[Row]:
    """Resident megabytes of each process."""
    for process in ("agent", "server"):
        less, more = few.resident(process), many.resident(process)
        against = f"{few.live:,} live grants {number(less)} MB"
        yield Row(f"{process}, resident, {many.live:,} live grants", f"{number(more)} MB", more, "MB", against)
