"""The demo, step by step. Each step is seen with real connections, and says whether it held."""

import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from jitgate.ops.demo import place, rootless, visits
from jitgate.ops.demo.installation import Jitgate
from jitgate.ops.demo.place import ADDRESSES, MACHINES, STRANGER, YOU, Place
from jitgate.ops.demo.visits import ALIVE_WITHIN_SECONDS, PORT, Door, Visit, is_alive, visiting

MACHINE = MACHINES[0]
LAST_GRANT_SECONDS = 5
ON_TIME_SECONDS = 0.1
"""A shut port counts as on time when nothing got through this much after its end."""

EARLY_SECONDS = 1.0
"""An end that came earlier than this would not be the one that was asked for."""

_TRY_FOR_SECONDS = 0.02
_OPENS_WITHIN_SECONDS = 10.0
_CUT_WITHIN_SECONDS = 5.0


class Screen:
    """Lines with the time since the start, and whether every step held."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self.all_held = True

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def step(self, name: str, text: str, *, held: bool = True) -> None:
        self.all_held = self.all_held and held
        mark = "[green]✓[/]" if held else "[bold red]✗[/]"
        since = time.monotonic() - self._began
        self._console.print(f"{since:6.2f} s  {mark} [bold]{name:<13}[/] ", end="")
        self._console.print(text, markup=False)


def tell(*, once: bool) -> bool:
    """Play it; whether every step held. Unless `once`, stays up until Ctrl-C. Raises Unavailable."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As Ctrl-C: everything is removed on the way out.
        signal.signal(number, signal.default_int_handler)
    screen = Screen()
    screen.say("jitgate demo: two machines, a real firewall, real TCP connections.")
    with ExitStack() as afterwards:
        directory = Path(afterwards.enter_context(tempfile.TemporaryDirectory(prefix="jitgate-demo-")))
        made = place.make()
        afterwards.callback(place.remove, made)
        door = visits.open_doors(made, directory)
        screen.step("made", f"{' and '.join(MACHINES)}, each a network namespace with {door.name} on port {PORT}")
        jitgate = Jitgate(made, directory)
        Story(screen, made, door, jitgate).play()
        if not once:
            afterwards.callback(jitgate.stop)
            _stay(screen, made, jitgate)
    return screen.all_held


class Story:
    """The steps, in order."""

    def __init__(self, screen: Screen, made: Place, door: Door, jitgate: Jitgate) -> None:
        self._screen, self._place, self._door, self._jitgate = screen, made, door, jitgate

    def play(self) -> None:
        self._before()
        self._protect()
        grant = self._ask("asked", 3600)
        with visiting(self._door, MACHINE) as visit:
            self._see_session(visit)
            self._close_early(grant, visit)
        grant = self._ask("asked again", LAST_GRANT_SECONDS)
        with visiting(self._door, MACHINE) as visit:
            self._kill(visit)
            self._see_end(grant, visit)
        self._start_again(grant)

    def _before(self) -> None:
        open_to = [label for label in (YOU, STRANGER) if self._place.reaches(label, MACHINE, PORT)]
        both = f"{MACHINE}:{PORT} answers everybody: you ({ADDRESSES[YOU]}) and a stranger ({ADDRESSES[STRANGER]})"
        self._screen.step("before", both, held=len(open_to) == 2)

    def _protect(self) -> None:
        took = self._jitgate.start()
        self._jitgate.wait_for_machines()
        self._screen.step("served", f"jitgate was ready after {took:.1f} s")
        limits = {"limits": {"session": "end"}}
        self._jitgate.call("PUT", "/guardrails/sessions-end", limits)
        began = time.monotonic()
        self._jitgate.call("POST", "/machines/enable?wait=10", {"machines": list(MACHINES)})
        took = (time.monotonic() - began) * 1000
        answers = [
            (label, each) for label in (YOU, STRANGER) for each in MACHINES if self._place.reaches(label, each, PORT)
        ]
        self._screen.step(
            "shut", f"{took:.0f} ms later port {PORT} of both machines answers nobody any more", held=not answers
        )

    def _ask(self, name: str, seconds: int) -> Mapping[str, Any]:
        began = time.monotonic()
        grant = self._jitgate.ask(MACHINE, seconds)
        while not (opened := self._place.reaches(YOU, MACHINE, PORT, _TRY_FOR_SECONDS)):
            if time.monotonic() - began > _OPENS_WITHIN_SECONDS:
                break
        took = (time.monotonic() - began) * 1000
        stranger = self._place.reaches(STRANGER, MACHINE, PORT)
        self._screen.step(
            name,
            f"{MACHINE}:{PORT} for you, for {_length(seconds)}: your first connection was accepted {took:.0f} ms after"
            " the request; the stranger's was not",
            held=opened and not stranger,
        )
        return grant

    def _see_session(self, visit: Visit) -> None:
        kind = "ssh session" if self._door.name == "sshd" else "connection"
        self._screen.step("session", f"a live {kind} to {MACHINE} carries data", held=is_alive(visit))

    def _close_early(self, grant: Mapping[str, Any], visit: Visit) -> None:
        began = time.monotonic()
        self._jitgate.call("POST", f"/grants/{grant['id']}/close?wait=10")
        closed = (time.monotonic() - began) * 1000
        while is_alive(visit) and time.monotonic() - began < _CUT_WITHIN_SECONDS:
            time.sleep(0.02)
        shut = not self._place.reaches(YOU, MACHINE, PORT)
        self._screen.step(
            "closed early",
            f"done after {closed:.0f} ms; the session's last sign of life came {_after(visit.last_sign - began)}",
            held=shut and not is_alive(visit),
        )

    def _kill(self, visit: Visit) -> None:
        count = self._jitgate.kill()
        time.sleep(ALIVE_WITHIN_SECONDS)
        lives_on = is_alive(visit) and self._place.reaches(YOU, MACHINE, PORT)
        self._screen.step(
            "killed", f"all {count} processes of jitgate with -9; port and session are as they were", held=lives_on
        )

    def _see_end(self, grant: Mapping[str, Any], visit: Visit) -> None:
        """The port is tried all the time: when it was last open, by how much that missed the end."""
        end = time.monotonic() + _left(str(grant["endTimeUtc"]))
        last_open = 0.0
        while time.monotonic() < end + ALIVE_WITHIN_SECONDS:
            tried = time.monotonic()
            if self._place.reaches(YOU, MACHINE, PORT, _TRY_FOR_SECONDS):
                last_open = tried
            time.sleep(0.005)
        open_until, lived_until = last_open - end, visit.last_sign - end
        on_time = all(-EARLY_SECONDS < each < ON_TIME_SECONDS for each in (open_until, lived_until))
        self._screen.step(
            "shut on time",
            f"with nobody alive: last connection {_around(open_until)}, session's last sign of life"
            f" {_around(lived_until)}",
            held=on_time and not is_alive(visit) and not self._place.reaches(YOU, MACHINE, PORT),
        )

    def _start_again(self, grant: Mapping[str, Any]) -> None:
        took = self._jitgate.start()
        found = self._jitgate.wait_until_closed(str(grant["id"]))
        shut = not self._place.reaches(YOU, MACHINE, PORT)
        self._screen.step(
            "started again",
            f"after {took:.1f} s jitgate knows: the grant is {found['state']} ({found['reason']})",
            held=shut and found["state"] == "closed",
        )


def _stay(screen: Screen, made: Place, jitgate: Jitgate) -> None:
    """Until Ctrl-C."""
    enter = f"{rootless.how_to_enter()}ip netns exec {made.namespace(YOU)}"
    screen.say(
        "\nIt stays up. To try it yourself, in another terminal, as the same user:\n"
        f"  {enter} env JITGATE_DATA_DIR={jitgate.directory} PATH={_path()} bash\n"
        f"  jitgate open {MACHINE} ssh --for 10m -m 'trying it out'; jitgate ls; jitgate done; jitgate activity\n"
        "Ctrl-C ends it and removes everything."
    )
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        screen.say("\nEnding.")


def _path() -> str:
    """The search path with this very jitgate in front."""
    return f"{Path(sys.executable).parent}:$PATH"


def _left(end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.now(UTC)).total_seconds()


def _length(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 3600 else f"{seconds} s"


def _after(seconds: float) -> str:
    return f"{max(0.0, seconds) * 1000:.0f} ms after the request"


def _around(seconds: float) -> str:
    return f"{abs(seconds) * 1000:.0f} ms {'before' if seconds <= 0 else 'after'} the end"
