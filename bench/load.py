"""Many clients at once, in a process of their own: wrk where it is installed, else threads of Python.

``python -m bench.load`` is the second kind; it reads what to do as JSON from standard input.
"""

import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench.client import Connection, Target, source
from bench.figures import percentile

CLIENTS = 16
_SPACE = 1 << 18
"""How many addresses one round may use: far more than it will, and enough for 64 rounds without one twice."""

_WRK = """
local counter = %d
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
%s
request = function()
  counter = counter + 1
  local address = string.format("12.%%d.%%d.%%d", math.floor(counter / 65536) %% 256,
    math.floor(counter / 256) %% 256, counter %% 256)
  return wrk.format(nil, nil, nil, (string.gsub([==[%s]==], "@SOURCE@", address)))
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests": %%d, "seconds": %%f, "p50": %%f, "p99": %%f, "errors": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one round came to. Times in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class Rounds:
    """Rounds of load. Each uses addresses that no other has used."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._wrk = shutil.which("wrk")
        self._rounds = 0

    @property
    def client(self) -> str:
        """What makes the load."""
        return "wrk" if self._wrk else "Python threads"

    def run(self, target: Target, seconds: float, clients: int = CLIENTS) -> Load:
        """Keep so many clients busy for some seconds. Raises RuntimeError if a request failed."""
        first = self._rounds * _SPACE
        self._rounds += 1
        run = self._with_wrk if self._wrk else _in_python
        load = run(target, seconds, first, clients)
        if load.errors or not load.requests:
            raise RuntimeError(f"{load.errors} requests of {load.requests} failed")
        return load

    def _with_wrk(self, target: Target, seconds: float, first: int, clients: int) -> Load:
        script = self._directory / "wrk.lua"
        script.touch(mode=0o600)
        token = f'wrk.headers["Authorization"] = "Bearer {target.token}"' if target.token else ""
        script.write_text(_WRK % (first, token, target.body))
        url = f"https://localhost:{target.port}{target.path}"
        command = [
            str(self._wrk),
            "-t1",
            f"-c{clients}",
            f"-d{seconds:.0f}s",
            "--timeout",
            "10s",
            "-s",
            str(script),
            url,
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return Load(**json.loads(said.partition("RESULT ")[2]))


def _in_python(target: Target, seconds: float, first: int, clients: int) -> Load:
    asked = {
        "port": target.port,
        "ca": str(target.ca),
        "path": target.path,
        "body": target.body,
        "token": target.token,
        "seconds": seconds,
        "first": first,
        "clients": clients,
    }
    command = [sys.executable, "-m", "bench.load"]
    said = subprocess.run(command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True).stdout
    return Load(**json.loads(said))


class _Client(threading.Thread):
    def __init__(self, target: Target, sources: range, until: float) -> None:
        super().__init__()
        self._target, self._sources, self._until = target, sources, until
        self.taken: list[float] = []
        self.errors = 0

    def run(self) -> None:
        with Connection(self._target) as connection:
            for number in self._sources:
                began = time.perf_counter()
                if began >= self._until:
                    return
                try:
                    connection.post(source(number))
                except Exception as error:  # noqa: BLE001 - however it failed, it counts as one
                    print(repr(error), file=sys.stderr)
                    self.errors += 1
                    return
                self.taken.append((time.perf_counter() - began) * 1000)


def run() -> None:
    """The command."""
    asked = json.load(sys.stdin)
    target = Target(asked["port"], Path(asked["ca"]), asked["path"], asked["body"], asked["token"])
    began = time.perf_counter()
    share = _SPACE // asked["clients"]
    starts = [asked["first"] + share * number for number in range(asked["clients"])]
    clients = [_Client(target, range(start, start + share), began + asked["seconds"]) for start in starts]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    taken = [each for client in clients for each in client.taken]
    found = {
        "requests": len(taken),
        "seconds": time.perf_counter() - began,
        "p50": percentile(taken, 50),
        "p99": percentile(taken, 99),
        "errors": sum(client.errors for client in clients),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    run()
