"""Both wheels, and environments that they are installed in, made once."""

from pathlib import Path

import pytest
from tests.packages.environment import AGENT, SERVER, Environment, build


@pytest.fixture(scope="package")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """By the name of the distribution: its wheel."""
    return {
        name: build(folder, tmp_path_factory.mktemp("wheel")) for name, folder in (("server", SERVER), ("agent", AGENT))
    }


@pytest.fixture(scope="package")
def bare(wheels: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """``pip install jitgate``."""
    return Environment(tmp_path_factory.mktemp("bare"), wheels["server"] + wheels["agent"])


@pytest.fixture(scope="package")
def full(wheels: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """``pip install 'jitgate[all]'``."""
    return Environment(tmp_path_factory.mktemp("full"), wheels["server"] + wheels["agent"], ("all",))


@pytest.fixture(scope="package")
def slim(wheels: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """``pip install jitgate-agent``."""
    return Environment(tmp_path_factory.mktemp("slim"), wheels["agent"])
