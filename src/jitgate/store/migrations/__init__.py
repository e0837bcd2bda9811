"""Bringing a database's tables up to date, one revision after the other (Alembic)."""

from jitgate.store.migrations.upgrade import SchemaError, differences, head, upgrade

__all__ = ["SchemaError", "differences", "head", "upgrade"]
