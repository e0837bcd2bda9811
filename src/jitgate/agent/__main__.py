"""``python -m jitgate.agent``: the ``jitgate-agent`` command, where its script is not on the path."""

from jitgate.agent.command import run

if __name__ == "__main__":
    run()
