"""Lists of grants, the newest first, are a walk along an index, however many there are or have been."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

_ORDER = ["asked_at", "uid"]
_INDEXES = (
    ("ix_grants_of_not_closed", ["principal", *_ORDER], "state != 'closed'"),
    ("ix_grants_of_closed", ["principal", *_ORDER], "state = 'closed'"),
    ("ix_grants_all_not_closed", _ORDER, "state != 'closed'"),
    ("ix_grants_all_closed", _ORDER, "state = 'closed'"),
)


def upgrade() -> None:
    for name, columns, condition in _INDEXES:
        op.create_index(name, "grants", columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
