"""A network of namespaces, listeners on the host, and an enforcer that serves it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.connectors.hosts.scene import PORT, Scene
from tests.netns import Network

from jitgate.connectors.hosts.nft import Nft


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made, made.host.listen(PORT), made.host.listen(PORT, udp=True):
        yield made


@pytest.fixture
def idle(network: Network, tmp_path: Path) -> Iterator[Scene]:
    """A scene whose enforcer has not started."""
    made = Scene(network, tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def scene(idle: Scene) -> Scene:
    """A scene whose enforcer protects TCP and UDP of the port, sessions kept."""
    idle.start()
    idle.ask(complete=True)
    return idle


@pytest.fixture
def kernel_without_persist(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a kernel that cannot give a table an owner which outlives it."""
    monkeypatch.setattr(Nft, "claim", lambda self, table: False)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], float], bool]:
    """Whether something becomes true within so many seconds."""

    def wait(happens: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not happens():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    return wait
