"""Machines: what is recommended, and what an id is compared by."""

from tests.unit.core.examples import make_machine

from jitgate.core.machine import DEFAULT_PORTS, MANAGEMENT_PORTS, OperatingSystem


def test_the_default_port_is_that_of_the_operating_system() -> None:
    assert (DEFAULT_PORTS[OperatingSystem.LINUX], DEFAULT_PORTS[OperatingSystem.WINDOWS]) == (22, 3389)
    assert DEFAULT_PORTS.keys() == set(OperatingSystem)


def test_the_recommended_ports_are_those_of_remote_administration() -> None:
    assert list(MANAGEMENT_PORTS) == [22, 3389, 5985, 5986]


def test_a_machine_is_known_by_its_id_in_any_case() -> None:
    assert make_machine("WEB-1").key == make_machine("web-1").key != make_machine("web-10").key
