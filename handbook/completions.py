"""What the shells complete `jitgate` by. Each asks the program, so that names of machines are offered, too."""

from functools import partial

from typer._completion_shared import get_completion_script

_ASKED_BY = "_JITGATE_COMPLETE"


def script(shell: str) -> str:
    """The script for a shell: bash, zsh or fish."""
    return get_completion_script(prog_name="jitgate", complete_var=_ASKED_BY, shell=shell) + "\n"


bash, zsh, fish = (partial(script, shell) for shell in ("bash", "zsh", "fish"))
