"""Claimed groups are tied to one issuer: the only one that has ever proven anybody, else to none."""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    connection = op.get_bind()
    # SQLite keeps the words of a table: those of one that was only added to differ from the code's.
    recreate: Literal["always", "never"] = "always" if connection.dialect.name == "sqlite" else "never"
    with op.batch_alter_table("principal", recreate=recreate) as table:
        table.add_column(sa.Column("issuer", sa.Text(), nullable=True))
    labels = connection.execute(sa.text("SELECT label FROM credential WHERE kind = 'account'")).scalars()
    issuers = {label.rpartition(" at ")[2] for label in labels}
    if len(issuers) == 1:
        tie = sa.text("UPDATE principal SET issuer = :issuer WHERE kind = 'claimedGroup'")
        connection.execute(tie, {"issuer": issuers.pop()})
