"""`jitgate role`: what somebody may do, and giving it to them."""

from typing import Annotated

import typer

from jitgate.cli import role_files
from jitgate.cli.exits import DIFFERENCE, Exit, Failure, NotThere, Usage
from jitgate.cli.server import Json, Server, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, Session, session
from jitgate.cli.text import local, plain
from jitgate.core import role_definition

app = typer.Typer(help="What somebody may do.", no_args_is_help=True)

RoleArgument = Annotated[str, typer.Argument(metavar="ROLE", help="The role's name, in any case, or its id.")]
ScopeOption = Annotated[
    str | None,
    typer.Option(
        help="Where: /, or the id of a subscription, a resource group or a machine; or a machine's short name. "
        "Without it: the subscription of the machines outside the clouds.",
        metavar="SCOPE",
    ),
]
FileOption = Annotated[str, typer.Option("--file", "-f", help="A file of roles; - for standard input.", metavar="FILE")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go ahead.")]


@app.command("ls")
def list_roles(scope: ScopeOption = None, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """List roles."""
    with session(output, data_dir) as s:
        found = s.server.get("/roles", scope=_scope(s.server, scope))["items"]
        if not s.screen.data(found):
            rows = [(each["name"], "custom" if each["custom"] else "built in", each["description"]) for each in found]
            s.screen.table(("ROLE", "KIND", "WHAT IT IS FOR"), rows, empty="No roles.")


@app.command("show")
def show_role(
    role: RoleArgument, scope: ScopeOption = None, output: OutputOption = TABLE, data_dir: DataDirOption = None
) -> None:
    """Print a role, as a file that `role apply` takes."""
    with session(output, data_dir) as s:
        found = s.server.get(path("roles", role), scope=_scope(s.server, scope))
        if not s.screen.data(found):
            typer.echo(role_files.write([found]), nl=False)


@app.command("plan")
def plan_roles(file: FileOption, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Show what applying a file would change, and change nothing; exit code 2 if anything would."""
    with session(output, data_dir) as s:
        plan = _plan(s, file)
        s.screen.data([{"name": name, **body} for name, body in plan.items()])
        raise typer.Exit(DIFFERENCE if plan else Exit.OK)


@app.command("apply")
def apply_roles(
    file: FileOption, yes: YesOption = False, output: OutputOption = TABLE, data_dir: DataDirOption = None
) -> None:
    """Define custom roles as a file says, after showing the difference. Roles that are not in it stay."""
    with session(output, data_dir) as s:
        plan = _plan(s, file)
        if plan and not yes and not s.screen.confirm("Go ahead?"):
            raise Usage("Nothing was changed. Say yes, or give --yes where nobody can be asked.")
        kept = [s.server.put(path("roles", name), body) for name, body in plan.items()]
        if not s.screen.data(kept):
            s.screen.say("\n".join(f"{role['name']} is defined." for role in kept) or "Nothing to change.")


@app.command("delete")
def delete_role(role: RoleArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Remove a custom role that nobody holds."""
    with session(output, data_dir) as s:
        s.server.delete(path("roles", role))
        if not s.screen.data({"role": role, "deleted": True}):
            s.screen.say(f"{role} is gone.", "green")


@app.command("create-least-privileged")
def create_least_privileged(
    subscription: Annotated[str, typer.Option(help="Where the role can be assigned.", metavar="GUID")],
    name: Annotated[str, typer.Option(help="What it is called.", metavar="NAME")] = role_definition.LEAST_PRIVILEGED,
    for_api_only: Annotated[
        bool, typer.Option("--for-api-only", help="Sees neither machines nor networks; in Azure that is too little.")
    ] = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Define a role for people who only ask for access, as Microsoft's Set-JitLeastPrivilegedRole does."""
    with session(output, data_dir) as s:
        role = role_definition.least_privileged(subscription, name, for_api_only=for_api_only)
        wanted = {
            "description": role.description,
            "actions": list(role.actions),
            "assignableScopes": list(role.scopes),
        }
        known = _known(s.server, name, role.scopes[0])
        if known is not None and role_files.body(known) != wanted:
            raise Failure(f"There is a role {name} that says something else. Give another --name, or use `role apply`.")
        made = known or s.server.put(path("roles", name), wanted)
        if not s.screen.data(made):
            s.screen.say(f"{made['name']} is defined. `jitgate role assign` gives it to somebody.", "green")


@app.command("assignments")
def list_assignments(
    scope: ScopeOption = None,
    principal: Annotated[str | None, typer.Option(help="Of this person, program or group.", metavar="NAME")] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List who holds which role: given there, above or below."""
    with session(output, data_dir) as s:
        found = list(s.server.pages("/role-assignments", scope=_scope(s.server, scope), principal=principal))
        if not s.screen.data(found):
            rows = [
                (each["principal"], each["kind"], each["role"], each["scope"], local(each["createdTimeUtc"]))
                for each in found
            ]
            s.screen.table(("WHO", "KIND", "ROLE", "SCOPE", "SINCE"), rows, empty="Nobody holds a role there.")


@app.command("assign")
def assign_role(
    role: RoleArgument,
    to: Annotated[str, typer.Option("--to", help="A person, a program or a group.", metavar="NAME")],
    scope: ScopeOption = None,
    description: Annotated[str, typer.Option(help="What for.", metavar="TEXT")] = "",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Give a role to somebody."""
    with session(output, data_dir) as s:
        wanted = {"role": role, "principal": to, "scope": _scope(s.server, scope), "description": description}
        made = s.server.post("/role-assignments", wanted)
        if not s.screen.data(made):
            s.screen.say(f"{made['principal']} is {made['role']} at {made['scope']}.", "green")


@app.command("unassign")
def unassign_role(
    role: RoleArgument,
    holder: Annotated[str, typer.Option("--from", help="Who has it.", metavar="NAME")],
    scope: ScopeOption = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Take a role away from somebody. What it allowed closes at once."""
    with session(output, data_dir) as s:
        found = _given(s.server, role, holder, _scope(s.server, scope))
        s.server.delete(path("role-assignments", found["id"]))
        if not s.screen.data(found):
            s.screen.say(f"{found['principal']} is {found['role']} at {found['scope']} no more.", "green")


def _scope(server: Server, said: str | None) -> str:
    """A scope path. Raises NotThere for a machine that nobody knows."""
    if said is None:
        return f"/subscriptions/{server.get('/whoami')['subscription']}"
    return said if said.startswith("/") else str(server.get(path("machines", said))["id"])


def _known(server: Server, name: str, scope: str) -> Json:
    """A role that can be assigned around a scope path; None: there is none."""
    try:
        return server.get(path("roles", name), scope=scope)
    except NotThere:
        return None


def _plan(s: Session, file: str) -> dict[str, Json]:
    """The roles of a file that would change, by name, after showing how."""
    return {name: body for name, body in role_files.read(file) if _differs(s, name, body)}


def _differs(s: Session, name: str, body: Json) -> bool:
    """Show what would change, and say whether anything would."""
    scope = next(iter(body.get("assignableScopes") or ()), "/")
    lines = role_files.difference(name, _known(s.server, name, str(scope)), body)
    for line in lines:
        s.screen.note(line, {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], ""))
    return bool(lines)


def _given(server: Server, role: str, holder: str, scope: str) -> Json:
    """The assignment that is meant. Raises NotThere."""
    for each in server.pages("/role-assignments", scope=scope, principal=holder):
        is_role = role.casefold() in (each["role"].casefold(), each["roleId"])
        is_holder = holder.casefold() in (each["principal"].casefold(), each["principalId"])
        if is_role and is_holder and each["scope"].casefold() == scope.casefold():
            return each
    raise NotThere(
        f"{plain(holder)} was not given {plain(role)} at {plain(scope)}. `jitgate role assignments` lists what was."
    )
