"""`jitgate inbox`, `approve`, `deny`, `withdraw`, `review`: what waits for somebody to agree, and what they say."""

from typing import Annotated

import typer

from jitgate.cli.screen import Screen
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import left, plain, port, short, sources
from jitgate.core.duration import parse_short

RequestArgument = Annotated[
    str, typer.Argument(metavar="REQUEST", help="A request's id or its beginning, as `jitgate inbox` shows it.")
]
NoteOption = Annotated[
    str, typer.Option("--note", "-m", help="What to say with it; it goes on record.", metavar="TEXT")
]


def inbox(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.", metavar="N")] = 100,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List the requests that wait for your approval."""
    with session(output, data_dir) as s:
        found = list(s.server.pages("/approvals", most=limit))
        if s.screen.data(found):
            return
        rows = [_row(each) for each in found]
        columns = ("REQUEST", "WHO", "WHAT", "WHY", "WAITS", "LACKS")
        s.screen.table(columns, rows, empty="Nothing waits for you.")
        for each in found:
            if each["refused"]:
                s.screen.note(f"{short(each['request']['id'])} would not be granted any more: {plain(each['refused'])}")


def approve(
    request: RequestArgument,
    note: NoteOption = "",
    most: Annotated[
        str | None, typer.Option("--for", help="For so long at most: less than was asked for.", metavar="TIME")
    ] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Agree to a request."""
    with session(output, data_dir) as s:
        shorter = {} if most is None else {"duration": str(parse_short(most, "--for"))}
        done = s.server.post(path("requests", request, "approve"), {"note": note, **shorter})
        if not s.screen.data(done):
            _tell(s.screen, done, "approve")


def deny(
    request: RequestArgument, note: NoteOption = "", output: OutputOption = TABLE, data_dir: DataDirOption = None
) -> None:
    """Refuse a request, which ends it."""
    _say(request, "deny", {"note": note}, output, data_dir)


def withdraw(request: RequestArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Take back a request of your own that has not opened yet."""
    _say(request, "withdraw", None, output, data_dir)


def review(
    request: Annotated[str | None, typer.Argument(metavar="[REQUEST]", help="Without it: list open reviews.")] = None,
    note: NoteOption = "",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List what broke the glass and was not looked at; or close a review, with what you found."""
    if request is not None:
        _say(request, "review", {"note": note}, output, data_dir)
        return
    with session(output, data_dir) as s:
        found = s.server.get("/reviews")["items"]
        if not s.screen.data(found):
            rows = [(short(each["id"]), each["requestor"], what(each), each["justification"]) for each in found]
            s.screen.table(("REQUEST", "WHO", "WHAT", "WHY"), rows, empty="Nothing is left to review.")


def what(request: Json) -> str:
    """The ports of a request, for people."""
    return ", ".join(f"{each['machine']} {port(each)} from {_origin(each)}" for each in request["grants"])


def _origin(grant: Json) -> str:
    """From where, with the named networks that this lies in."""
    named = sorted(set(grant["networks"].values()))
    return sources(grant) + (f" ({', '.join(map(plain, named))})" if named else "")


def _say(request: str, verb: str, body: dict[str, str] | None, output: OutputOption, data_dir: DataDirOption) -> None:
    with session(output, data_dir) as s:
        done = s.server.post(path("requests", request, verb), body)
        if not s.screen.data(done):
            _tell(s.screen, done, verb)


def _tell(screen: Screen, request: Json, verb: str) -> None:
    states = sorted({each["state"] for each in request["grants"]})
    if verb == "review":
        screen.say(f"{short(request['id'])} is reviewed.", "green")
    elif states == ["pending"]:
        screen.say(f"{short(request['id'])} still waits for others.", "yellow")
    else:
        screen.say(f"{short(request['id'])} is {', '.join(states)}.", "green")


def _row(each: Json) -> tuple[str, ...]:
    request = each["request"]
    waits = f"{left(each['waitUntilUtc'])}" + ("" if each["isMine"] else " (not your turn)")
    return (short(request["id"]), request["requestor"], what(request), request["justification"], waits, each["missing"])
