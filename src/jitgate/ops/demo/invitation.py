"""What people are told to try while the demo stays up."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from jitgate.ops.demo.stage import Stage


def lines(stage: Stage, *, entered: bool) -> Iterator[str]:
    """Commands, ready to be typed. `entered`: in a user namespace, into which people have to come first."""
    alice, web = stage.network.alice, stage.network.web
    yield "Every step held. Now you, in another terminal:"
    if entered:
        yield f"  nsenter --preserve-credentials -U -m -n -t {os.getpid()}"
    programs = Path(sys.executable).parent
    if shutil.which("jitgate") != str(programs / "jitgate"):
        yield f"  export PATH={shlex.quote(str(programs))}:$PATH"
    yield f"  export JITGATE_DATA_DIR={shlex.quote(str(stage.jitgate.data))}"
    yield f"  jitgate open {web} ssh --for 5m --from {alice.addresses[0]}"
    yield f"  {stage.listeners.command(alice, web)}"
    yield f"  jitgate ls; jitgate done {web}; jitgate activity"
    yield "Ctrl-C ends the demo, and removes all that it has made."
