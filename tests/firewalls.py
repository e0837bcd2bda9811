"""The real ufw and firewalld, each at work in a namespace of the test's, with configuration and state of its own.

What they write goes to a directory that is laid over the machine's in a mount namespace that ends with them.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.netns import Namespace, run

_PATIENCE_SECONDS = 60.0

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_destination="*" eavesdrop="true"/> <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class Firewall(Protocol):
    """What the tests want of both. A port is allowed for TCP and UDP, from anywhere."""

    def allow(self, port: int) -> None: ...

    def take_back(self, port: int) -> None: ...

    def reload(self) -> None: ...

    def stop_and_start(self) -> None: ...


class Ufw:
    """ufw, enabled, with nothing allowed yet."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self._namespace = namespace
        places = {place: directory / place.strip("/").replace("/", "-") for place in ("/etc/ufw", "/etc/default")}
        for place, own in places.items():
            shutil.copytree(place, own, symlinks=True)
        # Nothing but the firewall: kernel modules and settings are the machine's.
        defaults = places["/etc/default"] / "ufw"
        defaults.write_text(defaults.read_text() + '\nIPT_SYSCTL=\nIPT_MODULES=""\n')
        self._inside = _over({**places, "/run": directory / "run"})
        self.run("--force", "reset")
        self.run("--force", "enable")

    def run(self, *arguments: str) -> str:
        return self._namespace.run(*self._inside, "ufw", *arguments)

    def allow(self, port: int) -> None:
        self.run("allow", str(port))

    def take_back(self, port: int) -> None:
        self.run("delete", "allow", str(port))

    def reload(self) -> None:
        self.run("reload")

    def stop_and_start(self) -> None:
        self.run("disable")
        self.run("--force", "enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It has no process of its own; its rules go with the namespace."""


class Firewalld:
    """firewalld with a message bus of its own; its default zone allows SSH at port 22."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self._namespace = namespace
        # A socket's path may have 107 characters; pytest's directories can be longer.
        socket = Path("/tmp", f"{namespace.name}-bus")
        self._socket = socket
        self._environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
        configuration = directory / "bus.conf"
        configuration.write_text(_BUS.format(socket=socket))
        places = {place: directory / place.strip("/").replace("/", "-") for place in ("/etc/firewalld", "/var/log")}
        self._inside = _over({**places, "/run": directory / "run"})
        (places["/etc/firewalld"] / "firewalld.conf").write_text("DefaultZone=public\nFirewallBackend=nftables\n")
        self._log = directory / "firewalld.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self._spawn("dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile")
            _wait(socket.exists, "the message bus did not start")
            self._start()
        except BaseException:
            self.close()
            raise

    def command(self, *arguments: str) -> str:
        return run(["env", f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={self._socket}", "firewall-cmd", *arguments])

    def allow(self, port: int) -> None:
        self.lasting(*(f"--add-port={port}/{protocol}" for protocol in ("tcp", "udp")))

    def take_back(self, port: int) -> None:
        self.lasting(*(f"--remove-port={port}/{protocol}" for protocol in ("tcp", "udp")))

    def lasting(self, *arguments: str) -> None:
        """Something that outlives reloads, in force at once."""
        self.command("--permanent", *arguments)
        self.command(*arguments)

    def reload(self) -> None:
        self.command("--reload")

    def stop_and_start(self) -> None:
        _end(self._processes.pop())
        self._start()

    def close(self) -> None:
        for each in reversed(self._processes):
            _end(each)
        self._socket.unlink(missing_ok=True)

    def _start(self) -> None:
        inside = ("ip", "netns", "exec", self._namespace.name, *self._inside)
        self._spawn(*inside, "firewalld", "--nofork", "--nopid")
        _wait(self._is_running, "firewalld did not start")

    def _is_running(self) -> bool:
        asked = subprocess.run(["firewall-cmd", "--state"], env=self._environment, capture_output=True, check=False)
        return asked.returncode == 0

    def _spawn(self, *command: str) -> None:
        with self._log.open("ab") as log:
            self._processes.append(subprocess.Popen(command, env=self._environment, stdout=log, stderr=log))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _over(places: Mapping[str, Path]) -> list[str]:
    """The beginning of a command that sees these directories in the places of the machine's."""
    for own in places.values():
        own.mkdir(parents=True, exist_ok=True)
    mounts = "".join(f'mount --bind "{own}" {place} && ' for place, own in places.items())
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mounts}exec "$@"', "sh"]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
        return
    process.kill()
    process.wait()


def _wait(happens: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not happens():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
