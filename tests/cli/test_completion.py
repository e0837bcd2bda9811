"""What the shell offers."""

from tests.cli.conftest import Cli
from typer.testing import CliRunner

from jitgate.cli import app


def offered(cli: Cli, line: str, **environ: str) -> list[str]:
    """What bash is told to offer for a line."""
    words = line.split(" ")
    completing = {"_JITGATE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    environment = {**cli.environ, **completing, **environ}
    return CliRunner().invoke(app, env=environment, prog_name="jitgate").stdout.split()


def test_machines_and_named_ports_are_offered(cli: Cli) -> None:
    assert offered(cli, "jitgate open w") == ["web-1", "web-2", "win-1", "winrm", "winrms"]
    assert offered(cli, "jitgate machine show we") == ["web-1", "web-2"]


def test_what_is_open_is_offered_to_done(cli: Cli) -> None:
    cli("open", "web-1", "ssh")
    assert offered(cli, "jitgate done we") == ["web-1"]


def test_without_a_server_nothing_is_offered_and_nothing_is_said(cli: Cli) -> None:
    assert offered(cli, "jitgate open we", JITGATE_URL="https://127.0.0.1:9") == []
    assert offered(cli, "jitgate open we", JITGATE_URL="nonsense") == []
