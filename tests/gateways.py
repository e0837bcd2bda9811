"""A jitgate with a gateway, and a machine behind it: real processes, real TCP."""

import random
from pathlib import Path
from typing import Any

from tests.connectors.gateway.scene import BEHIND, Echo
from tests.processes import Jitgate, until

SETTINGS = """
[[gateway]]
name = "edge"
address = "127.0.0.1"
listen = ["127.0.0.1"]
ports = "{first}-{last}"
probe_from = ["127.0.0.9"]

[[gateway.machine]]
name = "win-1"
address = "{behind}"
os = "windows"
tags = {{ team = "erp" }}
"""


class Gateway(Jitgate):
    """A jitgate with a gateway alone, and a machine behind it."""

    def __init__(self, directory: Path, target: Echo) -> None:
        super().__init__(directory, {})
        self.target = target
        first = random.randrange(20_000, 31_000)
        text = SETTINGS.format(first=first, last=first + 100, behind=BEHIND)
        (directory / "jitgate.toml").write_text(text)

    def protect(self) -> None:
        """Cover the machine's port with a policy, and wait until its mapped port is known."""
        until(lambda: self.machine("win-1"), "win-1 is not listed")
        port = {"number": self.target.port, "protocol": "*", "sources": ["*"], "maxDuration": "PT3H"}
        part = {"id": "win-1", "ports": [port]}
        self.call("PUT", "/api/v1/policies/default", {"machines": [part]})
        until(lambda: (self.machine("win-1") or {})["ports"], "it is not protected")

    def ask(self, source: str, seconds: int) -> dict[str, Any]:
        return self.open("win-1", source, seconds=seconds, port=self.target.port)
