"""Reads the shell sessions of a page (```console), and runs them: against a real server, its firewalls in memory.

A line with a prompt is typed; the lines below it are what is shown, where `…` stands for anything, and alone on a
line for any lines. `$` is the prompt of the owner, `ana$` that of ana. What runs: `jitgate …`, with `> FILE`,
`; echo $?` and `$(hostname)`, and `export NAME=VALUE`. A YAML block becomes the file
`policies.yaml` or `roles.yaml`, as the pages say.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.server import Server, linux_host
from typer.testing import CliRunner

from jitgate.cli import app
from jitgate.core.machine import Machine
from jitgate.identity.kinds import TOKEN
from jitgate.store import credentials, principals
from jitgate.store.database import Tx
from jitgate.store.principals import Credential
from jitgate.trust import tokens

MACHINES = ("web-1", "web-2", "db-1")
HERE = "203.0.113.7"
SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
EXIT_CODE = "; echo $?"
NEWEST = {
    "REQUEST": ("/api/v1/grants", "request"),
    "GRANT": ("/api/v1/grants", "id"),
    "FREEZE": ("/api/v1/freezes", "id"),
}
"""Words that pages put in the place of an id: where the newest such thing is found, and which field has its id."""

_BLOCK = re.compile(r"^ *```(?P<language>console|yaml)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^ *(?P<who>[a-z]*)\$ (?P<line>.+)$")


@dataclass(slots=True)
class Typed:
    """A command, who types it (empty: the owner), and the lines that it is shown to print; none: they are not shown."""

    who: str
    line: str
    shown: list[str] = field(default_factory=list)


def machines(subscription: str) -> list[Machine]:
    """Linux hosts, filed as hosts are."""
    tags = {"web-1": {"env": "prod"}, "db-1": {"env": "prod", "team": "db"}}
    return [linux_host(subscription, name, "192.0.2.10", tags.get(name, {})) for name in MACHINES]


def read(page: Path) -> Iterator[Typed | str]:
    """What happens on a page, in its order: commands, and texts of the file `policies.yaml`."""
    for block in _BLOCK.finditer(page.read_text("utf-8")):
        if block["language"] == "yaml":
            yield block["body"]
        else:
            yield from _commands(block["body"])


def _commands(block: str) -> Iterator[Typed]:
    typed: Typed | None = None
    for line in block.replace("\\\n", " ").splitlines():
        if found := _PROMPT.match(line):
            if typed:
                yield typed
            typed = Typed(found["who"], found["line"])
        elif typed:
            typed.shown.append(line.strip())
        else:
            raise AssertionError(f"a session begins with a prompt, not with {line!r}")
    if typed:
        yield typed


class Console:
    """The terminals of all who type on a page."""

    def __init__(self, server: Server, home: Path) -> None:
        self._server = server
        self._home = home
        self._environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "SSH_CLIENT": f"{HERE} 50000 22"}
        self._environ |= {"JITGATE_URL": server.base_url, "JITGATE_CA": str(server.ca), "COLUMNS": "200"}
        self._tokens = {"": server.token}

    def run(self, typed: Typed) -> str:
        """What is printed. A command that fails, and does not show its exit code, fails the test."""
        line, shows_code, _ = typed.line.partition(EXIT_CODE)
        line = self._filled(self._at_home(line.replace("$(hostname)", MACHINES[0])))
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self._environ.setdefault(name, value)
            return ""
        line, _, file = line.partition(" > ")
        code, printed = self._jitgate(shlex.split(line, comments=True), typed.who)
        if file:
            (self._home / file.strip()).write_text(printed, "utf-8")
            printed = ""
        assert shows_code or code == 0, f"{typed.line} ended with {code}: {printed}"
        return printed + (f"{code}\n" if shows_code else "")

    def _jitgate(self, words: list[str], who: str) -> tuple[int, str]:
        assert words[0] == "jitgate", f"{words[0]} is nothing that this runs"
        environ = self._environ | {"JITGATE_TOKEN": self._token(who)}
        result = CliRunner().invoke(app, words[1:], env=environ)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    def _token(self, who: str) -> str:
        """A personal token of somebody whom the page has made known."""
        if who not in self._tokens:
            self._tokens[who] = self._server.call(self._server.service.store.write(lambda tx: _lend(tx, who)))
        return self._tokens[who]

    def _filled(self, line: str) -> str:
        """The line with the newest ids in place of their words."""
        for word, (path, field_name) in NEWEST.items():
            if word in line.split():
                with self._server.client() as client:
                    [newest, *_] = client.get(path).json()["items"]
                line = re.sub(rf"\b{word}\b", str(newest[field_name])[:8], line)
        return line

    def keep(self, text: str) -> None:
        """A file of policies or roles, as a page shows it."""
        name = "roles.yaml" if text.lstrip().startswith("roles:") else "policies.yaml"
        (self._home / name).write_text(self._at_home(text), "utf-8")

    def _at_home(self, text: str) -> str:
        """With the subscription of this server in place of the one that pages name."""
        return text.replace(SUBSCRIPTION, self._server.subscription)


def _lend(tx: Tx, who: str) -> str:
    account = principals.find(tx, who)
    assert account, f"the page does not say how {who} became known"
    token = tokens.make()
    credentials.add(tx, Credential(token.id, account.uid, TOKEN, "", token.digest, tx.now))
    return token.text


def agrees(shown: list[str], printed: str) -> bool:
    """Whether what a page shows is what was printed, however wide its columns are."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else r".*?".join(map(re.escape, line.split("…"))) + r"\n" for line in _lines(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed.splitlines()))) is not None


def _lines(lines: list[str]) -> list[str]:
    """Those with something on them, with single blanks."""
    return [" ".join(line.split()) for line in lines if line.strip()]
