"""How many grants, hosts and failing scopes there are is counted without reading them."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_INDEXES = (
    ("ix_grants_state", "grants", ["state", "since"], "state != 'closed'"),
    ("ix_host_state", "host", ["kind", "state", "silent"], "state != 'removed'"),
    ("ix_scope_state_error", "scope_state", ["connector"], "error != ''"),
    ("ix_scope_state_silent", "scope_state", ["silent_since"], "silent_since IS NOT NULL"),
)


def upgrade() -> None:
    for name, table, columns, condition in _INDEXES:
        op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
