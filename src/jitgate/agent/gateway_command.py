"""``jitgate gateway``, and ``jitgate-agent gateway``: a gateway whose server is elsewhere.

::

    … gateway join URL --token T --ca-pin sha256:… --address WHERE --machine NAME=ADDRESS    become a member of a server
    … gateway run                                    open and shut doors (what the service unit runs)
    … gateway add NAME ADDRESS | remove NAME | ls    the machines behind it; one that runs takes it up by itself

It needs no right but to listen on its mapped ports, on Linux and on macOS.
"""

import argparse
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from jitgate.agent import gateway, joining, membership
from jitgate.agent.command_line import carry_out
from jitgate.agent.gateway import GatewayPost
from jitgate.agent.joining import Invitation
from jitgate.agent.membership import Membership
from jitgate.agent.polling import PollingLink
from jitgate.agent.serving import serve
from jitgate.clock import SystemClock
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.gateway import roster
from jitgate.connectors.gateway.ports import MappedPorts
from jitgate.connectors.gateway.roster import EVERYWHERE, Place, Target
from jitgate.connectors.hosts.roster import hold_pid
from jitgate.core import resource_id
from jitgate.core.errors import Invalid
from jitgate.core.machine import Joins, OperatingSystem
from jitgate.core.places import check_address, check_place, check_ports
from jitgate.trust import signatures

STATE = Path("/var/lib/jitgate-gateway")
_LOOK_EVERY_SECONDS = 1.0

_log = logging.getLogger("jitgate.gateway")

GiveUpRights = Callable[[Path], None]
"""Takes from this process what it was started with and does not need. It goes on writing into one directory."""


def _parser(program: str, give_up_rights: GiveUpRights | None) -> argparse.ArgumentParser:
    about = "Passes TCP on to machines that can run no agent."
    parser = argparse.ArgumentParser(prog=f"{program} gateway", description=about)
    under = parser.add_subparsers(required=True, metavar="COMMAND")
    state = argparse.ArgumentParser(add_help=False)
    state.add_argument("--state", type=Path, default=STATE, help=f"where everything is kept (default {STATE})")

    command = under.add_parser("join", parents=[state], help="become a member of a jitgate server")
    command.add_argument("url", help="the server, https://…")
    command.add_argument("--token", default=os.environ.get("JITGATE_JOIN_TOKEN"), help="from `jitgate host token`")
    command.add_argument("--ca-pin", default="", help="sha256:… of the server's authority, as the same command shows")
    command.add_argument("--name", default=joining.this_machine(), help="what people call this gateway")
    command.add_argument("--address", required=True, help="where people connect to: an IP address, or a name")
    command.add_argument("--listen", action="append", default=[], metavar="ADDRESS", help="listen here (default: all)")
    command.add_argument("--ports", default="40000-40999", help="the mapped ports, first to last")
    command.add_argument(
        "--probe-from", action="append", default=[], metavar="ADDRESS", help="an address that no machine must admit"
    )
    command.add_argument(
        "--machine",
        action="append",
        default=[],
        metavar="NAME=ADDRESS",
        help="a machine behind it, Windows: NAME=…,windows",
    )
    command.set_defaults(do=_join)

    command = under.add_parser("run", parents=[state], help="pass on what the server says, until told to end")
    command.set_defaults(do=lambda options: _run(options, give_up_rights))

    command = under.add_parser("add", parents=[state], help="a machine behind it; also to change its address")
    command.add_argument("name", help="what people call the machine")
    command.add_argument("address", help="where this gateway finds it")
    command.add_argument("--os", choices=[str(each) for each in OperatingSystem], default="unknown")
    command.set_defaults(do=_add)

    command = under.add_parser("remove", parents=[state], help="a machine is behind it no more; its grants end")
    command.add_argument("name", help="what people call the machine")
    command.set_defaults(do=_remove)

    command = under.add_parser("ls", parents=[state], help="the machines behind it, with their mapped ports")
    command.set_defaults(do=_list)
    return parser


def _join(options: argparse.Namespace) -> None:
    if not options.token:
        raise ConnectorError("a join token is needed: --token, or JITGATE_JOIN_TOKEN in the environment")
    place = Place(
        name=resource_id.check_name(options.name, "--name"),
        address=check_place(options.address, "--address"),
        targets=_targets(options.machine),
        listen=tuple(check_address(each, "--listen") for each in options.listen) or EVERYWHERE,
        ports=check_ports(options.ports, "--ports"),
        probe_from=tuple(check_address(each, "--probe-from") for each in options.probe_from),
    )
    invitation = Invitation(
        options.url.rstrip("/"), options.token, options.ca_pin, place.name, Joins.GATEWAY, place=place.address
    )

    def keep(member: Membership) -> None:
        roster.write(options.state, [replace(place, name=member.name, joined_as=member.scope)])

    member = joining.join(options.state, invitation, keep, print)
    print(f"{member.name} has joined {member.url}. Now pass connections on: jitgate gateway run")


def _run(options: argparse.Namespace, give_up_rights: GiveUpRights | None) -> None:
    state: Path = options.state
    member = membership.read(state)
    held = hold_pid(state, wait=False)
    if held is None:
        raise ConnectorError(f"a gateway of {state} runs already")
    if give_up_rights is not None:
        give_up_rights(state)
    clock = SystemClock()
    link = PollingLink(state, member, signatures.load(state / membership.KEY), clock)
    [post] = gateway.posts(state, clock, link.say)
    link.on_session(post.tell_again)
    threading.Thread(target=_keep_up, args=(state, post), name="roster", daemon=True).start()
    _log.info("holding %s, with %d machines behind it", post.place.name, len(post.place.targets))
    try:
        serve(link, [post])
    finally:
        os.close(held)


def _keep_up(state: Path, post: GatewayPost) -> None:
    """Take up, for ever, what somebody changes about the machines behind the gateway."""
    while True:
        threading.Event().wait(_LOOK_EVERY_SECONDS)
        try:
            [place] = roster.read(state)
            if place != post.place:
                _log.info("%d machines are behind the gateway now", len(place.targets))
                post.use(place)
        except (ConnectorError, OSError, ValueError) as error:
            _log.error("the machines behind the gateway stay as they were: %s", error)


def _add(options: argparse.Namespace) -> None:
    new = _target(options.name, options.address, options.os)
    with _changing(options.state) as change:
        change(lambda targets: (*_without(targets, new.name), replace(new, uuid=_uuid(targets, new.name) or new.uuid)))
    print(f"{new.name} at {new.address} is behind the gateway.")


def _remove(options: argparse.Namespace) -> None:
    with _changing(options.state) as change:
        change(lambda targets: _but(targets, options.name))
    print(f"{options.name} is behind the gateway no more. Its grants end.")


def _list(options: argparse.Namespace) -> None:
    place = _place(options.state)
    mapped = MappedPorts(place.directory(options.state), *place.ports)
    print(f"{place.name}, reached at {place.address}")
    for each in place.targets:
        ports = ", ".join(f"{own} at {other}" for own, other in sorted(mapped.of_machine(each.uuid).items()))
        print(f"  {each.name} at {each.address}: {ports or 'no mapped port yet'}")


Targets = tuple[Target, ...]


@contextmanager
def _changing(state: Path) -> Iterator[Callable[[Callable[[Targets], Targets]], None]]:
    """Change the machines, one command at a time. Raises ConnectorError, OSError."""
    directory = os.open(state, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        place = _place(state)
        yield lambda change: roster.write(state, [replace(place, targets=change(place.targets))])
    finally:
        os.close(directory)


def _place(state: Path) -> Place:
    membership.read(state)
    [place] = roster.read(state)
    return place


def _without(targets: Targets, name: str) -> Targets:
    return tuple(each for each in targets if resource_id.key(each.name) != resource_id.key(name))


def _but(targets: Targets, name: str) -> Targets:
    left = _without(targets, name)
    if len(left) == len(targets):
        raise Invalid("name", f"no machine {name[:100]!r} is behind the gateway", allowed="one that `ls` lists")
    return left


def _uuid(targets: Targets, name: str) -> str:
    """What is known by that name stays the same machine; "" for a new one."""
    return next((each.uuid for each in targets if resource_id.key(each.name) == resource_id.key(name)), "")


def _targets(told: Sequence[str]) -> Targets:
    """Out of NAME=ADDRESS and NAME=ADDRESS,OS. Raises Invalid."""
    found: Targets = ()
    for each in told:
        name, is_given, where = each.partition("=")
        address, _, os_name = where.partition(",")
        if not is_given or os_name not in ("", *OperatingSystem):
            raise Invalid("--machine", f"{each!r:.60} is not accepted", allowed="NAME=ADDRESS or NAME=ADDRESS,windows")
        if _uuid(found, name):
            raise Invalid("--machine", f"{name[:100]!r} is there twice", allowed="each name once")
        found = (*found, _target(name, address, os_name or "unknown"))
    return found


def _target(name: str, address: str, os_name: str) -> Target:
    named = resource_id.check_name(name, "name")
    return Target(named, str(uuid4()), check_address(address, "address"), os_name)


def run(arguments: Sequence[str], give_up_rights: GiveUpRights | None = None, program: str = "jitgate") -> None:
    """``jitgate gateway …``. Exits with 2 if it cannot be done."""
    carry_out(_parser(program, give_up_rights), arguments)
