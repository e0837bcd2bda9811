"""What the installation knows of itself."""

from sqlalchemy import Column, Table, Text

from jitgate.store.schema.columns import Instant, metadata

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# What one process at a time does for all.
duty = Table(
    "duty",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text),
    Column("until", Instant),  # by the database's clock
)

# Who works on this database.
replica = Table(
    "replica",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("knows", Text, nullable=False),  # the newest revision of the tables that its jitgate knows
    Column("part", Text, nullable=False),  # jitgate.config.parts
    Column("heard_at", Instant, nullable=False),  # by the database's clock
)
