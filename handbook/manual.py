"""The manual page jitgate(1), out of the commands themselves. Its format: man(7)."""

import re
from collections.abc import Iterator
from typing import Any

from handbook.program import commands, leaves

_HEAD = """\
.\\" Made from the commands themselves: make reference
.TH JITGATE 1 "" "jitgate" "User Commands"
.SH NAME
jitgate \\- just-in-time network access for machines
.SH SYNOPSIS
.B jitgate
.I COMMAND
.RI [ OPTION ]...
.SH DESCRIPTION
Management ports are shut by a real firewall. Somebody with the right asks for a port of a machine, from a source
address, for a time. The port opens for that source only, and shuts by itself. Who asked, who agreed, what was opened
and when it was shut is on record.
.PP
.B jitgate serve
runs the server; the other commands speak to it.
.SH COMMANDS
"""
_FOOT = """\
.SH ENVIRONMENT
.TP
.B JITGATE_URL, JITGATE_CA, JITGATE_TOKEN
Where the server is, whom to trust that it is, and as whom to come; without them: the server of this machine, or
.BR "jitgate login" .
.TP
.B JITGATE_DATA_DIR
Where the server on this machine keeps its data.
.SH FILES
.TP
.I /var/lib/jitgate/jitgate.toml
The settings, each with its default as a comment.
.SH EXIT STATUS
.TP
.B 0
What was asked for is so.
.TP
.B 2
It was not understood; for
.B plan
commands: something would change.
.PP
The others are on the page of the command line in the documentation.
.SH SEE ALSO
.BR nft (8),
.BR ssh (1)
"""


def page() -> str:
    """The page, in roff."""
    parts = [part for words, command in sorted(leaves(commands())) for part in _command(words, command)]
    return _HEAD + "".join(f"{part}\n" for part in parts) + _FOOT


def _command(words: str, command: Any) -> Iterator[str]:
    context = command.context_class(command)
    shown = [each for each in command.params if not each.hidden]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    yield f'.SS "jitgate {words}"'
    yield rf".B jitgate {_plain(words)}"
    if arguments:
        yield rf".I {_plain(' '.join(str(each.metavar or each.name.upper()) for each in arguments))}"
    yield ".PP"
    yield _text(command.help or "")
    for each in arguments:
        if each.help:
            yield from _item(str(each.metavar or each.name.upper()), each.help)
    for each in shown:
        if each.param_type_name == "option":
            yield from _item(*each.get_help_record(context))


def _item(name: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_plain(name)}"
    yield _text(text)


def _text(text: str) -> str:
    """Paragraphs, each on a line."""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))
    return "\n.PP\n".join(map(_plain, paragraphs))


def _plain(text: str) -> str:
    """Nothing of it is taken for a request or an escape."""
    safe = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{safe}" if safe.startswith((".", "'")) else safe
