"""The page of all commands with all their options, out of the commands themselves."""

import re
from typing import Any

from handbook.program import commands, leaves
from handbook.tables import cell, table

HEAD = """# Every command and option

Made from the commands themselves: `make reference` renews this page, and a test fails when it is old.
What holds for all commands, and which of them do what, is in [the command line](cli.md). Every command knows `--help`.
"""
_FORWARDED = """It has options of its own, which `jitgate {name} --help` lists."""


def page() -> str:
    """The page, as Markdown."""
    parts = [HEAD]
    group = ""
    for words, command in sorted(leaves(commands())):
        if (first := words.split()[0]) != group:
            group = first
            parts.append(f"## {group}\n")
        parts.append(_command(words, command))
    return "\n".join(parts)


def _command(words: str, command: Any) -> str:
    context = command.context_class(command)
    arguments = [each for each in command.params if each.param_type_name == "argument" and not each.hidden]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    typed = " ".join(["jitgate", words, *map(_name, arguments)])
    parts = [f"### `jitgate {words}`\n", f"```text\n{typed}\n```\n", f"{_text(command.help or '')}\n"]
    if said := [(f"`{cell(_name(each))}`", cell(each.help)) for each in arguments if each.help]:
        parts.append(table(("argument", ""), said))
    if options:
        parts.append(table(("option", ""), [_option(*each.get_help_record(context)) for each in options]))
    if command.ignore_unknown_options:
        parts.append(f"{_FORWARDED.format(name=words)}\n")
    return "\n".join(parts)


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _option(names: str, text: str) -> tuple[str, str]:
    return f"`{cell(names)}`", cell(text)


def _text(text: str) -> str:
    """A help text, its hand-made line breaks undone."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text.strip())
