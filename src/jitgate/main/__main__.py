"""``python -m jitgate.main``: the ``jitgate`` command, where its script is not on the path."""

from jitgate.main import run

run()
