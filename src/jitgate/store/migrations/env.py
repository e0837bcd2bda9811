"""What Alembic runs to carry out revisions (see `jitgate.store.migrations.upgrade`, which calls it).

A new revision is a new file in ``versions/``, written by hand. The tests compare what all revisions make
with `jitgate.store.schema`, to the last word.
"""

from alembic import context

from jitgate.store.schema import metadata

# Batch mode: SQLite changes a column by making the table again. The transaction is the caller's.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
