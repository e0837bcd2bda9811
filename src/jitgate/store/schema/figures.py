"""Figures of days that are over, so that nobody has to count them again: what insights are made of."""

from sqlalchemy import JSON, Boolean, Column, Integer, Table, Text

from jitgate.store.schema.columns import Instant, metadata

day_figures = Table(
    "day_figures",
    metadata,
    Column("day", Text, primary_key=True),  # 2030-01-31, UTC
    Column("at", Instant, nullable=False),  # when it was counted
    Column("final", Boolean, nullable=False),
    Column("body", JSON, nullable=False),  # jitgate.core.insight.DayFigures
)

policy_use = Table(
    "policy_use",
    metadata,
    Column("day", Text, primary_key=True),
    Column("policy", Text, primary_key=True),  # uid; the policy may be gone
    Column("port", Integer, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("longest", Integer, nullable=False),  # seconds
    Column("widest_4", Integer),  # length of the shortest IPv4 prefix; NULL: none
    Column("widest_6", Integer),
    sqlite_with_rowid=False,
)
