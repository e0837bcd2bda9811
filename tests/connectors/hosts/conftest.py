"""A network of namespaces, listeners on the host, and an enforcer that serves it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.connectors.hosts.scene import PORT, Scene
from tests.netns import Network

from jitgate.connectors.hosts.nft import Nft

_PATIENCE_SECONDS = 15.0


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
def eventually() -> Callable[[Callable[[], bool]], bool]:
    """Whether something becomes true, before the enforcer would look by itself (after half a minute)."""

    def wait(happens: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not happens():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    return wait
