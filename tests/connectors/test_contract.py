"""Our own connectors keep the contract that ships for those of others."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.connectors.aws.scene import Scene as AwsScene
from tests.connectors.stages import AwsStage, AzureStage, GatewayStage, MemoryStage, NftStage
from tests.netns import Network

from jitgate.testing.contract import CloudContract, ConnectorContract, Stage


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Each test leaves it as it was."""
    with Network() as made, ExitStack() as opened:
        for port in (22, 3389):
            opened.enter_context(made.host.listen(port))
            opened.enter_context(made.host.listen(port, udp=True))
        yield made


@pytest.fixture(scope="module")
def region() -> Iterator[AwsScene]:
    """Each test has an instance of its own in it."""
    made = AwsScene()
    with asyncio.Runner() as runner:
        runner.run(made.__aenter__())
        yield made
        runner.run(made.__aexit__(None, None, None))


class TestMemory(ConnectorContract):
    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        with MemoryStage() as made:
            yield made


class TestAws(CloudContract):
    @pytest.fixture
    def stage(self, region: AwsScene) -> Iterator[Stage]:
        with AwsStage(region) as made:
            yield made


class TestAzure(CloudContract):
    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        with AzureStage() as made:
            yield made


class TestGateway(ConnectorContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        with GatewayStage(tmp_path) as made:
            yield made


@pytest.mark.needs_root
class TestHosts(ConnectorContract):
    @pytest.fixture
    def stage(self, network: Network, tmp_path: Path) -> Iterator[Stage]:
        with NftStage(network, tmp_path) as made:
            yield made
