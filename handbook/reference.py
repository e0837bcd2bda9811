"""What nobody writes by hand: pages, drawings, and what is installed beside the program."""

from collections.abc import Callable, Mapping
from pathlib import Path

from release import licences

from handbook import commands, completions, fields, manual, rooms, settings
from jitgate.config.template import first_text

ROOT = Path(__file__).parents[1]
MADE: Mapping[str, Callable[[], str]] = {
    "docs/reference/commands.md": commands.page,
    "docs/reference/configuration.md": settings.page,
    "docs/reference/fields.md": fields.page,
    "docs/reference/licences.md": licences.page,
    "docs/pictures/rooms.svg": rooms.drawing,
    "deploy/man/jitgate.1": manual.page,
    "deploy/completions/jitgate.bash": completions.bash,
    "deploy/completions/_jitgate": completions.zsh,
    "deploy/completions/jitgate.fish": completions.fish,
    "deploy/jitgate.toml": first_text,
}


def renew() -> None:
    """Write all of them anew."""
    for name, make in MADE.items():
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(make(), "utf-8")
