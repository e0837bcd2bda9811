"""Other programs that open a port for a while, where they are installed."""

import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Self

from tests.netns import HOST4, Network

UNTOUCHED = 2222
"""A port that firewalld's own zones do not open."""
_START_SECONDS = 60.0
_LONGEST = 7200
"""Seconds for which a port may be opened."""
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


_RICH = "rule family=ipv4 source address={source} port port={port} protocol={protocol} accept"
_ZONE_RULE = '<rule family="ipv4"><source address="{source}"/><port port="{port}" protocol="tcp"/><accept/></rule>'
_IPTABLES_RULE = (
    "-A FWKNOP_INPUT -s {source}/32 -p tcp -m tcp --dport {port} -m comment --comment _exp_{ends} -j ACCEPT"
)


_FWKNOP_LISTENS = "62201"


class Other(ABC):
    """A program on the host of a network of its own. A context manager: it runs until the end. `directory`: all files
    that it makes are there. `crowd`: how many sources it has let in to `UNTOUCHED` from the beginning, for hours.

    `PROGRAMS`  what must be installed
    `ASKED`     how it is asked, for people
    """

    PROGRAMS: ClassVar[Sequence[str]]
    ASKED: ClassVar[str]

    def __init__(self, network: Network, directory: Path, crowd: int = 0) -> None:
        self._network = network
        self._crowd = [f"11.0.{at >> 8}.{at & 255}" for at in range(crowd)]
        self._directory = directory
        self._environment = {**os.environ, "HOME": str(directory)}
        self._opened = ExitStack()

    @classmethod
    def missing(cls) -> str:
        """The first of its programs that is not installed; "" if all are."""
        return next((each for each in cls.PROGRAMS if not shutil.which(each)), "")

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True)
        with ExitStack() as opened:
            self._start_all(opened)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @abstractmethod
    def open(self, source: str, port: int, seconds: int = _LONGEST, protocol: str = "tcp") -> None:
        """As a person would, with one command. Raises CalledProcessError."""

    @abstractmethod
    def _start_all(self, opened: ExitStack) -> None: ...

    def _start(self, opened: ExitStack, command: list[str]) -> None:
        with (self._directory / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        opened.callback(process.wait)
        opened.callback(process.terminate)

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, env=self._environment, check=False, timeout=_START_SECONDS
        )

    def _wait_until(self, it_answers: Callable[[], bool]) -> None:
        give_up = time.monotonic() + _START_SECONDS
        while not it_answers():
            if time.monotonic() > give_up:
                raise TimeoutError(f"{self.PROGRAMS[0]} does not start: {self._log()[-500:]}")
            time.sleep(0.2)

    def _log(self) -> str:
        return (self._directory / "log").read_text()


class Firewalld(Other):
    """With a message bus of its own. What it keeps is a copy."""

    PROGRAMS = ("firewalld", "firewall-cmd", "dbus-daemon")
    ASKED = "firewall-cmd --timeout"

    def __init__(self, network: Network, directory: Path, crowd: int = 0) -> None:
        super().__init__(network, directory, crowd)
        self._environment["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={directory / 'bus'}"

    def open(self, source: str, port: int, seconds: int = _LONGEST, protocol: str = "tcp") -> None:
        rule = _RICH.format(source=source, port=port, protocol=protocol)
        self._run("firewall-cmd", f"--add-rich-rule={rule}", f"--timeout={seconds}").check_returncode()

    def _start_all(self, opened: ExitStack) -> None:
        bus = self._directory / "bus.conf"
        bus.write_text(_BUS.format(socket=self._directory / "bus"))
        self._start(opened, ["dbus-daemon", f"--config-file={bus}", "--nofork"])
        kept = shutil.copytree("/etc/firewalld", self._directory / "firewalld")
        self._keep_crowd(kept / "zones" / "public.xml")
        daemon = ["firewalld", "--nofork", "--nopid", "--system-config", str(kept), "--log-target=console"]
        self._start(opened, ["ip", "netns", "exec", self._network.host.name, *daemon])
        self._wait_until(lambda: self._run("firewall-cmd", "--state").returncode == 0)

    def _keep_crowd(self, zone: Path) -> None:
        """As the zone's own rules: asking for each takes a quarter of a second."""
        zone.parent.mkdir(exist_ok=True)
        zone.write_text(
            f"<zone>{''.join(_ZONE_RULE.format(source=each, port=UNTOUCHED) for each in self._crowd)}</zone>"
        )


class Fwknop(Other):
    """A signed packet asks for a port, in UDP server mode; the host refuses all else. fwknop(8), fwknopd(8)."""

    PROGRAMS = ("fwknopd", "fwknop", "iptables")
    ASKED = "fwknop"

    def open(self, source: str, port: int, seconds: int = _LONGEST, protocol: str = "tcp") -> None:
        asked = ["-A", f"{protocol}/{port}", "-a", source, "-D", HOST4, "-f", str(seconds)]
        client = ["ip", "netns", "exec", self._network.alice.name, "fwknop", "--no-save-args"]
        self._run(*client, "--rc-file", str(self._directory / "client"), "-n", "bench", *asked).check_returncode()

    def _start_all(self, opened: ExitStack) -> None:
        keys = self._make_keys()
        server = self._keep("fwknopd", f"ENABLE_UDP_SERVER Y;\nFWKNOP_RUN_DIR {self._directory};\n")
        access = self._keep("access", f"SOURCE ANY\n{keys}\nMAX_FW_TIMEOUT {_LONGEST}\n")
        self._keep("client", f"[bench]\n{keys}\nUSE_HMAC Y\n")
        self._network.host.run("iptables", "-A", "INPUT", "-p", "tcp", "-j", "DROP")
        self._network.host.run("iptables", "-A", "INPUT", "-p", "udp", "!", "--dport", _FWKNOP_LISTENS, "-j", "DROP")
        daemon = ["fwknopd", "--foreground", "--config-file", server, "--access-file", access]
        self._start(opened, ["ip", "netns", "exec", self._network.host.name, *daemon])
        self._wait_until(lambda: "UDP server" in self._log())
        self._add_crowd()

    def _add_crowd(self) -> None:
        """As it would have written them."""
        ends = int(time.time()) + _LONGEST
        rules = [_IPTABLES_RULE.format(source=each, port=UNTOUCHED, ends=ends) for each in self._crowd]
        (self._directory / "crowd").write_text("\n".join(["*filter", *rules, "COMMIT", ""]))
        self._network.host.run("iptables-restore", "--noflush", str(self._directory / "crowd"))

    def _make_keys(self) -> str:
        """One for encrypting and one for signing, a line each, as both of its sides read them."""
        made = self._run("fwknop", "--key-gen", "--use-hmac", "--no-rc-file")
        made.check_returncode()
        return made.stdout.strip().replace(": ", " ")

    def _keep(self, name: str, text: str) -> str:
        """The path of a file that only we can read, as fwknop demands."""
        path = self._directory / name
        path.touch(mode=0o600)
        path.write_text(text)
        return str(path)


OTHERS: Sequence[type[Other]] = (Firewalld, Fwknop)
