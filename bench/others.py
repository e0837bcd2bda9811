"""Other programs that open a port for a while, where they are installed."""

import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.netns import Namespace

_START_SECONDS = 30.0
_BUS = """\
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/>
    <allow send_type="method_call"/> <allow send_type="method_return"/>
    <allow send_type="signal"/> <allow send_type="error"/>
    <allow receive_type="method_call"/> <allow receive_type="method_return"/>
    <allow receive_type="signal"/> <allow receive_type="error"/>
  </policy>
</busconfig>
"""


class Firewalld:
    """The real one, in a namespace, with a message bus of its own. What it keeps is a copy."""

    PROGRAMS = ("firewalld", "firewall-cmd", "dbus-daemon")

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self._namespace = namespace
        self._directory = directory
        self._environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={directory / 'bus'}"}
        self._opened = ExitStack()

    @classmethod
    def missing(cls) -> str:
        """The first of its programs that is not installed; "" if all are."""
        return next((each for each in cls.PROGRAMS if not shutil.which(each)), "")

    def __enter__(self) -> Self:
        self._directory.mkdir()
        with ExitStack() as opened:
            bus = self._directory / "bus.conf"
            bus.write_text(_BUS.format(socket=self._directory / "bus"))
            self._start(opened, ["dbus-daemon", f"--config-file={bus}", "--nofork"])
            kept = shutil.copytree("/etc/firewalld", self._directory / "firewalld")
            daemon = ["firewalld", "--nofork", "--nopid", "--system-config", str(kept), "--log-target=console"]
            self._start(opened, ["ip", "netns", "exec", self._namespace.name, *daemon])
            self._wait_until_it_answers()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def open(self, source: str, port: int) -> None:
        """As an administrator would: one command, for two hours. Raises CalledProcessError."""
        rule = f"rule family=ipv4 source address={source} port port={port} protocol=tcp accept"
        self._ask(f"--add-rich-rule={rule}", "--timeout=7200").check_returncode()

    def _ask(self, *options: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["firewall-cmd", *options], capture_output=True, env=self._environment, check=False, timeout=30
        )

    def _start(self, opened: ExitStack, command: list[str]) -> None:
        with (self._directory / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        opened.callback(process.wait)
        opened.callback(process.terminate)

    def _wait_until_it_answers(self) -> None:
        give_up = time.monotonic() + _START_SECONDS
        while self._ask("--state").returncode != 0:
            if time.monotonic() > give_up:
                raise TimeoutError(f"firewalld does not start: {(self._directory / 'log').read_text()[-500:]}")
            time.sleep(0.2)
