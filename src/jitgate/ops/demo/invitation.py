"""What people are told to try while the demo stays up."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from jitgate.ops.demo import loopback
from jitgate.ops.demo.gateway_story import GatewayStage
from jitgate.ops.demo.installation import Installation
from jitgate.ops.demo.stage import Stage

_BEGIN = "Every step held. Now you, in another terminal:"
_BROWSER = "  jitgate sign-in-link      # or in a browser: open what this prints"
_END = "Ctrl-C ends the demo, and removes all that it has made."


def lines(stage: Stage, *, entered: bool) -> Iterator[str]:
    """Commands, ready to be typed. `entered`: in a user namespace, into which people have to come first."""
    alice, web = stage.network.alice, stage.network.web
    yield _BEGIN
    if entered:
        yield f"  nsenter --preserve-credentials -U -m -n -t {os.getpid()}"
    yield from _environment(stage.jitgate)
    yield f"  jitgate open {web} ssh --for 5m --from {alice.addresses[0]}"
    yield f"  {stage.listeners.command(alice, web)}"
    yield f"  jitgate ls; jitgate done {web}; jitgate activity"
    if not entered:  # no browser reaches into the namespace
        yield _BROWSER
    yield _END


def gateway_lines(stage: GatewayStage) -> Iterator[str]:
    """The same where a gateway is in front of the machine."""
    web = loopback.NAME
    yield _BEGIN
    yield from _environment(stage.jitgate)
    yield f"  jitgate open {web} {stage.machine.port}/tcp --for 5m --from {loopback.GATEWAY}"
    yield "  bash -c 'cat < /dev/tcp/ADDRESS/PORT'      # address and port as it says behind connect:"
    yield f"  jitgate ls; jitgate done {web}; jitgate activity"
    yield _BROWSER
    yield _END


def _environment(jitgate: Installation) -> Iterator[str]:
    programs = Path(sys.executable).parent
    if shutil.which("jitgate") != str(programs / "jitgate"):
        yield f"  export PATH={shlex.quote(str(programs))}:$PATH"
    yield f"  export JITGATE_DATA_DIR={shlex.quote(str(jitgate.data))}"
