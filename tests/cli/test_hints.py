"""How to connect, and what is never put into a command."""

from typing import Any

import pytest

from jitgate.cli.exits import Failure
from jitgate.cli.hints import checked_address, how_to_connect
from jitgate.cli.ssh import where


def grant(port: int, address: str | None = "192.0.2.1", at: int | None = None, protocol: str = "TCP") -> dict[str, Any]:
    connection = None if address is None else {"address": address, "port": at or port}
    return {"port": port, "protocol": protocol, "connection": connection}


@pytest.mark.parametrize(
    ("opened", "expected"),
    [
        (grant(22), "ssh 192.0.2.1"),
        (grant(22, at=30022), "ssh -p 30022 192.0.2.1"),
        (grant(22, "2001:db8::1"), "ssh 2001:db8::1"),
        (grant(3389), "xfreerdp /v:192.0.2.1:3389"),
        (grant(3389, "2001:db8::1", at=33890), "xfreerdp /v:[2001:db8::1]:33890"),
        (grant(5986), "Enter-PSSession -ComputerName 192.0.2.1 -Port 5986 -UseSSL"),
        (grant(8080), "192.0.2.1:8080"),
        (grant(53, protocol="UDP"), "192.0.2.1:53"),
        (grant(22, None), ""),
    ],
)
def test_how_to_connect(opened: dict[str, Any], expected: str) -> None:
    assert how_to_connect(opened, "linux") == expected


def test_windows_has_its_own_remote_desktop() -> None:
    assert how_to_connect(grant(3389), "win32") == "mstsc /v:192.0.2.1:3389"


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "a b", "a\nProxyCommand x", "$(id)", "a;b", "a`b`"])
def test_what_a_server_calls_an_address_gets_into_no_command(address: str) -> None:
    with pytest.raises(Failure, match="an address that is none"):
        checked_address(address)
    with pytest.raises(Failure):
        where(grant(22, address))


def test_ssh_is_led_to_the_mapped_port_or_finds_the_machine_by_itself() -> None:
    assert where(grant(22, at=30022)) == ["-o", "HostName=192.0.2.1", "-p", "30022"]
    assert where(grant(22, None)) == []
