"""What the published price table would have the same protection cost. All of its rows, with its date."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

PUBLISHED = date(2020, 10, 6)
"""The date of the article that the table is from."""

SERVER_MONTH = Decimal("14.60")
"""US dollars a server and month."""

FREE_DAYS = 30


@dataclass(frozen=True, slots=True)
class Price:
    """One row, in US dollars; None: free of charge."""

    what: str
    dollars: Decimal | None
    per: str


PRICES = (
    Price("Servers", SERVER_MONTH, "server and month"),
    Price("App Service", Decimal("14.60"), "app service and month"),
    Price("SQL", Decimal("15"), "server and month"),
    Price("MySQL and PostgreSQL", None, "server and month"),
    Price("Storage", Decimal("0.02"), "10,000 transactions"),
    Price("IoT, by device", Decimal("0.001"), "device and month"),
    Price("IoT, by message", Decimal("0.20"), "25,000 messages"),
    Price("Kubernetes", Decimal("0.00268"), "vCore and hour"),
    Price("Container registries", Decimal("0.29"), "image"),
    Price("Key Vault", Decimal("0.01"), "10,000 transactions"),
)


def monthly(machines: int) -> Decimal:
    """What so many servers would cost a month."""
    return SERVER_MONTH * machines
