"""What every connector must do, as tests: subclass `ConnectorContract`, and hand it a `Stage`.

    class TestMine(ConnectorContract):
        @pytest.fixture
        def stage(self, tmp_path: Path) -> Iterator[Stage]:
            with MyStage(tmp_path) as made:
                yield made

Whoever adds a connector as an administrator adds a cloud (`jitgate connector add`) subclasses `CloudContract`.
Needs nothing but pytest, which finds the tests by their names; each makes a loop of its own.
"""

from jitgate.testing.contract.promises import CloudContract, ConnectorContract
from jitgate.testing.contract.stage import Killed, Sources, Stage, Timeline, lethal

__all__ = ["CloudContract", "ConnectorContract", "Killed", "Sources", "Stage", "Timeline", "lethal"]
