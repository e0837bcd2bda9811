"""`jitgate policy`: which ports are protected, and what may be asked for."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from jitgate.cli import changes, completion, documents, words
from jitgate.cli.changes import ForceOption, YesOption
from jitgate.cli.exits import DIFFERENCE, Exit, NotThere, Usage
from jitgate.cli.origin import ANYWHERE
from jitgate.cli.server import Json, Server, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, Session, session
from jitgate.cli.text import plain
from jitgate.cli.words import PortWord
from jitgate.core import duration
from jitgate.core.desired import Protocol

app = typer.Typer(help="Which ports are protected, and what may be asked for.", no_args_is_help=True)

FileOption = Annotated[
    str, typer.Option("--file", "-f", help="A file of policies; - for standard input.", metavar="FILE")
]


@app.command("get")
def get_policy(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[POLICY|MACHINE]", help="Without it: all.", autocompletion=completion.machines),
    ] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Print policies, as a file that `policy apply` takes."""
    with session(output, data_dir) as s:
        found = _of(s.server, target) if target else list(s.server.pages("/policies"))
        if not s.screen.data(found):
            typer.echo(documents.write(found), nl=False)


@app.command("set")
def set_policy(
    machine: Annotated[str, typer.Argument(metavar="MACHINE", autocompletion=completion.machines)],
    ports: Annotated[list[str], typer.Argument(metavar="PORT...", help="22, 53/udp, ssh, rdp, winrm, winrms.")],
    longest: Annotated[str, typer.Option("--max", help="The longest access.", metavar="TIME")] = "3h",
    source: Annotated[
        list[str] | None,
        typer.Option("--from", help="What may be asked for: a prefix, or any. May be repeated.", metavar="PREFIX"),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", help="In which policy; else the one that has it, or default.", metavar="POLICY"),
    ] = None,
    force: ForceOption = False,
    yes: YesOption = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Protect ports of one machine, or change what may be asked for. Its other ports, and other machines, stay."""
    with session(output, data_dir) as s:
        rules = [_rule(words.needed_port(word), source or ["any"], longest) for word in ports]
        shown = s.server.get(path("machines", machine))
        before = _home(s.server, shown, policy)
        after = _with(before["machines"], shown["id"], rules)
        changes.apply(s, [(before["id"], {**documents.body(before), "machines": after})], yes=yes, force=force)


@app.command("delete")
def delete_policy(
    target: Annotated[str, typer.Argument(metavar="POLICY|MACHINE", autocompletion=completion.machines)],
    ports: Annotated[list[str] | None, typer.Argument(metavar="[PORT]...", help="Of a machine: only these.")] = None,
    yes: YesOption = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Protect no longer: a whole policy, a machine in every policy, or single ports of a machine."""
    with session(output, data_dir) as s:
        found = _of(s.server, target)
        machine = _machine_id(s.server, target)
        if machine is None:
            _delete(s, found[0], yes=yes)
            return
        numbers = [words.needed_port(word) for word in ports or ()]
        wanted = [(each["id"], _body_without(each, machine, numbers)) for each in found]
        changes.apply(s, wanted, yes=yes, force=False)


@app.command("plan")
def plan_policies(file: FileOption, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Show what applying a file would change, and change nothing; exit code 2 if anything would."""
    with session(output, data_dir) as s:
        plan = changes.plan(s, documents.read(file))
        if not s.screen.data([change.as_json() for change in plan]) and not plan:
            s.screen.say("Nothing to change.")
        raise typer.Exit(DIFFERENCE if plan else Exit.OK)


@app.command("apply")
def apply_policies(
    file: FileOption,
    yes: YesOption = False,
    force: ForceOption = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Make policies say what a file says, after showing the difference. Policies that are not in it stay."""
    with session(output, data_dir) as s:
        changes.apply(s, documents.read(file), yes=yes, force=force)


# --- parts of these ----------------------------------------------------------------------------------


def _of(server: Server, target: str) -> list[Json]:
    """The policies that a name, an id or a machine stands for. Raises NotThere."""
    machine = _machine_id(server, target)
    if machine is None:
        return [server.get(path("policies", target))]
    covering = server.get(path("machines", machine))["policies"]
    if not covering:
        raise NotThere(f"No policy covers {plain(target)}. `jitgate enable {plain(target)}` protects it.")
    return [server.get(path("policies", policy)) for policy in covering]


def _machine_id(server: Server, target: str) -> str | None:
    """The id of the machine that a word stands for; None: it stands for a policy."""
    if "/jitnetworkaccesspolicies/" in target.casefold():
        return None
    try:
        return str(server.get(path("machines", target))["id"])
    except NotThere:
        return None


def _home(server: Server, machine: Json, named: str | None) -> Json:
    """The policy that has a machine, or shall have it, as it is now. Raises Usage."""
    covering = machine["policies"]
    if named is None and len(covering) > 1:
        raise Usage(f"{machine['name']} is in several policies. Say which: --policy {' or '.join(covering)}")
    wanted = named or (covering[0] if covering else _default(machine))
    try:
        return server.get(path("policies", wanted))
    except NotThere:
        return {"id": wanted, "machines": []}


def _default(machine: Json) -> str:
    """The policy of a machine's group and location that `enable` puts it into, too."""
    group = machine["id"].rpartition("/providers/")[0]
    return f"{group}/providers/Microsoft.Security/locations/{machine['location']}/jitNetworkAccessPolicies/default"


def _rule(word: PortWord, sources: Sequence[str], longest: str) -> dict[str, Any]:
    return {
        "number": word.number,
        "protocol": word.protocol or "*",
        "sources": ["*" if source.lower() in ANYWHERE else source for source in sources],
        "maxDuration": duration.parse_short(longest, "--max").text,
    }


def _with(machines: Sequence[Json], wanted: str, rules: Sequence[Json]) -> list[Json]:
    """The machines of a policy, with rules of one of them added, or put in the place of older ones."""
    found = next((each for each in machines if _is(each, wanted)), None)
    words = [PortWord(rule["number"], rule["protocol"]) for rule in rules]
    changed = {**(found or {"id": wanted}), "ports": [*_less(found["ports"] if found else (), words), *rules]}
    return [changed if each is found else each for each in machines] + ([] if found else [changed])


def _body_without(policy: Json, machine: str, ports: Sequence[PortWord]) -> Json:
    """What a policy says without a machine, or without some of its ports. Raises Usage."""
    if machine.casefold() in {each.casefold() for each in policy["selected"]}:
        raise Usage(
            f"{policy['id']} takes {machine} in by what it is, and would again. Change what it selects: "
            "`jitgate policy get`, `jitgate policy apply`."
        )
    return {**documents.body(policy), "machines": _without(policy["machines"], machine, ports)}


def _without(machines: Sequence[Json], wanted: str, ports: Sequence[PortWord]) -> list[Json]:
    """The machines of a policy, without one of them, or without some of its ports."""
    kept = []
    for each in machines:
        rules = _less(each["ports"], ports) if ports else []
        if not _is(each, wanted):
            kept.append(each)
        elif rules:
            kept.append({**each, "ports": rules})
    return kept


def _less(rules: Sequence[Json], words: Sequence[PortWord]) -> list[Json]:
    """Rules without some ports. Taking UDP away from a rule for both protocols leaves its TCP."""
    taken = {(word.number, each) for word in words for each in Protocol(word.protocol or "*").each}
    kept = []
    for rule in rules:
        protocols = Protocol(rule["protocol"]).each
        rest = [each for each in protocols if (rule["number"], each) not in taken]
        if len(rest) == len(protocols):
            kept.append(rule)
        elif rest:
            kept.append({**rule, "protocol": str(rest[0])})
    return kept


def _is(machine: Json, wanted: str) -> bool:
    return bool(machine["id"].casefold() == wanted.casefold())


def _delete(s: Session, policy: Json, *, yes: bool) -> None:
    changes.show(s.screen, documents.compare(policy, {**policy, "machines": [], "select": [], "selected": []}))
    changes.go_ahead(s.screen, yes=yes)
    s.server.delete(path("policies", policy["id"]))
    if not s.screen.data({"id": policy["id"], "deleted": True}):
        s.screen.say(f"{policy['name']} is gone.")
