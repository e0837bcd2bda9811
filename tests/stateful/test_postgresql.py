"""The state machine against the firewall in memory, with the rows in PostgreSQL."""

import pytest
from hypothesis import settings
from tests.stateful.steps import Steps
from tests.stateful.worlds import PostgresqlWorld


class PostgresqlSteps(Steps):
    make_world = PostgresqlWorld


TestWhatPacketsReachWithPostgresql = pytest.mark.timeout(0)(PostgresqlSteps.TestCase)
# Each step is some ten times as long as with SQLite in memory: a tenth of the runs.
TestWhatPacketsReachWithPostgresql.settings = settings(max_examples=max(settings().max_examples // 10, 1))
