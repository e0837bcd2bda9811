"""What is in deploy/ to be copied starts commands, names settings, and keeps promises that there are."""

import re
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from jitgate import cli, config
from jitgate.agent import command, gateway_command
from jitgate.config.parts import Part
from jitgate.core import duration
from jitgate.main.command import add_all
from jitgate.main.web_server import FINISHING_SECONDS
from jitgate.ops.directory import DATABASE, SHARED_KEYS
from jitgate.reconcile.loop import FINISHING_SECONDS as PASSES_SECONDS

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))
SETTINGS = config.read(DEPLOY / "compose" / "jitgate.toml", "one")
BALANCER = (DEPLOY / "compose" / "haproxy.cfg").read_text("utf-8")
REPLICAS = [COMPOSE["services"][name] for name in ("one", "two")]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SERVING = [unit for unit in UNITS if "jitgate serve" in unit.read_text("utf-8")]
RESTARTED = [unit for unit in UNITS if unit not in SERVING and "Restart=" in unit.read_text("utf-8")]
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "LockPersonality": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "StateDirectoryMode": "0700",
}
LONGEST_NOTICE = timedelta(seconds=60)
AFTER_NOTICE = timedelta(seconds=FINISHING_SECONDS + PASSES_SECONDS + 5)
by_service = pytest.mark.parametrize("service", REPLICAS, ids=["one", "two"])
by_unit = pytest.mark.parametrize("unit", SERVING, ids=lambda unit: unit.name)


def options(arguments: list[str]) -> dict[str, Any]:
    """What the options of `jitgate serve` are, as the command line reads them. Raises where there is no such option."""
    root = typer.Typer()
    root.registered_commands, root.registered_groups = [*cli.app.registered_commands], [*cli.app.registered_groups]
    add_all(root)
    command = typer.main.get_command(root).commands["serve"]  # type: ignore[attr-defined]
    assert arguments[0] == "serve"
    return dict(command.make_context("serve", arguments[1:]).params)


def served(service: dict[str, Any]) -> list[str]:
    """The arguments of jitgate in a service."""
    *_, last = service["command"]
    return shlex.split(last.rpartition("exec jitgate")[2]) if "exec jitgate" in last else service["command"]


def setting(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text("utf-8"), re.M)


@by_service
def test_the_containers_start_commands_that_there_are(service: dict[str, Any]) -> None:
    found = options(served(service))
    assert str(found["data_dir"]) == service["environment"]["JITGATE_DATA_DIR"] == "/var/lib/jitgate"
    assert found["listen"].endswith(":8443")
    assert service["environment"].keys() == {DATABASE, "JITGATE_DATA_DIR"}
    assert service["environment"][DATABASE].startswith("postgresql://")


@by_service
def test_the_containers_have_no_right_and_write_to_their_own_data_alone(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    written = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert len(written) == 1
    assert re.search(r"^USER jitgate$", (DEPLOY / "compose" / "Dockerfile").read_text(), re.M)


@by_service
def test_the_containers_are_asked_whether_they_are_ready_and_given_the_time_to_end(service: dict[str, Any]) -> None:
    assert "/readyz" in " ".join(service["healthcheck"]["test"])
    compile(service["healthcheck"]["test"][-1], "healthcheck", "exec")
    assert SETTINGS.server.drain_notice is not None
    assert duration.parse_short(service["stop_grace_period"], "").length >= SETTINGS.server.drain_notice + AFTER_NOTICE
    assert service["ulimits"]["nofile"] >= 65536


def test_the_second_replica_gets_all_keys_of_the_first() -> None:
    copied = re.search(r"for key in ([^;]+);", REPLICAS[1]["command"][0])
    assert copied is not None
    assert tuple(copied[1].split()) == SHARED_KEYS
    assert "one:/keys:ro" in REPLICAS[1]["volumes"]


def test_the_balancer_gets_no_keys() -> None:
    assert not [volume for volume in COMPOSE["services"]["balancer"]["volumes"] if not volume.startswith("./")]


def test_the_image_is_made_of_the_wheel_with_an_extra_that_there_is() -> None:
    text = (DEPLOY / "compose" / "Dockerfile").read_text("utf-8")
    extras = re.search(r"\[(\w+)\]\"", text)
    assert extras is not None
    assert re.search(rf"^{extras[1]} = \[", (DEPLOY.parent / "pyproject.toml").read_text("utf-8"), re.M)


def test_the_balancer_sees_that_a_replica_leaves_before_it_has_left() -> None:
    found = re.search(r"inter (\d+)s fall (\d+)", BALANCER)
    assert found is not None
    assert SETTINGS.server.drain_notice is not None
    assert timedelta(seconds=int(found[1]) * int(found[2])) < SETTINGS.server.drain_notice
    assert "uri /readyz" in BALANCER
    assert re.findall(r"^    server (\w+) (\w+):8443$", BALANCER, re.M) == [("one", "one"), ("two", "two")]
    assert "mode tcp" in BALANCER


def test_there_is_a_unit_for_each_part() -> None:
    parts = {options(shlex.split(setting(unit, "ExecStart")[0])[1:])["role"] for unit in SERVING}
    assert parts == set(Part)


@by_unit
def test_the_units_give_the_time_to_end_and_a_descriptor_for_each_agent(unit: Path) -> None:
    [stop] = setting(unit, "TimeoutStopSec")
    assert timedelta(seconds=int(stop)) >= LONGEST_NOTICE + AFTER_NOTICE
    assert setting(unit, "KillMode") == ["mixed"]
    assert int(setting(unit, "LimitNOFILE")[0]) >= 65536
    assert setting(unit, "Type") == ["notify"]


@pytest.mark.parametrize("unit", [*SERVING, *RESTARTED], ids=lambda unit: unit.name)
def test_the_units_start_again_however_often_that_was_in_vain(unit: Path) -> None:
    assert setting(unit, "Restart") == ["always"]
    assert setting(unit, "StartLimitIntervalSec") == ["0"], "systemd gives up after five starts in ten seconds"
    assert unit.read_text("utf-8").index("StartLimitIntervalSec") < unit.read_text("utf-8").index("[Service]")


def is_hardened(unit: Path) -> bool:
    return all(setting(unit, name) == [value] for name, value in HARDENED.items())


@by_unit
def test_the_units_are_hardened_and_those_that_hold_no_firewall_have_no_right(unit: Path) -> None:
    assert is_hardened(unit)
    part = options(shlex.split(setting(unit, "ExecStart")[0])[1:])["role"]
    if not part.works:
        assert setting(unit, "CapabilityBoundingSet") == [""]
        assert setting(unit, "User") == [unit.stem]
        assert "AF_NETLINK" not in setting(unit, "RestrictAddressFamilies")[0]


def test_the_agent_may_change_the_firewall_and_nothing_else_and_listens_on_nothing() -> None:
    unit = DEPLOY / "systemd" / "jitgate-agent.service"
    assert is_hardened(unit)
    assert setting(unit, "CapabilityBoundingSet") == ["CAP_NET_ADMIN"]
    assert (setting(unit, "SocketBindDeny"), setting(unit, "SocketBindAllow")) == (["any"], [])
    assert setting(unit, "StateDirectory") == [command.STATE.name]


def test_the_gateway_has_no_right_at_all_and_listens_above_1023() -> None:
    unit = DEPLOY / "systemd" / "jitgate-gateway.service"
    assert is_hardened(unit)
    assert setting(unit, "CapabilityBoundingSet") == [""]
    assert (setting(unit, "SocketBindDeny"), setting(unit, "SocketBindAllow")) == (["any"], ["tcp:1024-65535"])
    assert setting(unit, "StateDirectory") == [gateway_command.STATE.name]
