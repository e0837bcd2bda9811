"""The ``jitgate-agent`` command.

::

    jitgate-agent join URL --token T --ca-pin sha256:…    become a member of a server
    jitgate-agent run                                     hold this host's firewall (what the service unit runs)
    jitgate-agent status | release | protect              at the host, without a server
    jitgate-agent gateway join | run | add | remove | ls  a gateway in place of a host's firewall
"""

import argparse
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from jitgate.agent import joining, membership
from jitgate.agent.command_line import carry_out
from jitgate.agent.joining import Invitation
from jitgate.agent.link import SocketLink
from jitgate.agent.looking import keep_looking
from jitgate.agent.membership import Membership
from jitgate.agent.polling import PollingLink
from jitgate.agent.post import Post
from jitgate.agent.serving import serve
from jitgate.clock import SystemClock
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import facts, on_site, roster
from jitgate.connectors.hosts.orders import Order
from jitgate.connectors.hosts.roster import Host
from jitgate.connectors.hosts.status import as_json, as_text
from jitgate.core.prefixes import parse_all
from jitgate.trust import signatures

STATE = Path("/var/lib/jitgate-agent")
_PROGRAM, _GATEWAY = "jitgate-agent", "gateway"
_GARBAGE_AFTER = 20_000
"""Objects that are made before garbage is looked for."""

_log = logging.getLogger("jitgate.agent")


def run(arguments: Sequence[str] | None = None) -> None:
    """Carry out a command line. Exits with 2 if it cannot be done."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] == _GATEWAY:
        # What passes connections on takes three megabytes, which are not for a host that holds its own firewall.
        from jitgate.agent import gateway_command

        gateway_command.run(words[1:], program=_PROGRAM)
    else:
        carry_out(_parser(), words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Holds the firewall of this host for jitgate.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    state = argparse.ArgumentParser(add_help=False)
    state.add_argument("--state", type=Path, default=STATE, help=f"where everything is kept (default {STATE})")

    command = commands.add_parser("join", parents=[state], help="become a member of a jitgate server")
    command.add_argument("url", help="the server, https://…")
    command.add_argument("--token", default=os.environ.get("JITGATE_JOIN_TOKEN"), help="from `jitgate host token`")
    command.add_argument("--ca-pin", default="", help="sha256:… of the server's authority, as the same command shows")
    command.add_argument("--name", default=joining.this_machine(), help="what people call this host")
    command.add_argument("--namespace", help="hold a network namespace instead of the machine itself")
    command.add_argument("--always-allow", action="append", default=[], metavar="PREFIX", help="never shut out these")
    command.set_defaults(do=_join)

    command = commands.add_parser("run", parents=[state], help="hold the firewall until told to end")
    command.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    command.set_defaults(do=_run)

    command = commands.add_parser("status", parents=[state], help="what stands in the kernel")
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(do=_status)

    for name, help_text in (("release", "open everything, on record"), ("protect", "hold it shut again, on record")):
        command = commands.add_parser(name, parents=[state], help=help_text)
        command.add_argument("--why", "-m", default="", help="the reason, for the record")
        command.set_defaults(do=_order, release=name == "release")
    commands.add_parser(_GATEWAY, help="pass TCP on to machines that can run no agent")
    return parser


def _join(options: argparse.Namespace) -> None:
    if not options.token:
        raise ConnectorError("a join token is needed: --token, or JITGATE_JOIN_TOKEN in the environment")
    always = parse_all(options.always_allow, "--always-allow")
    addresses = facts.gather(options.namespace).addresses
    invitation = Invitation(options.url.rstrip("/"), options.token, options.ca_pin, options.name, addresses=addresses)

    def keep(member: Membership) -> None:
        roster.write(options.state, [Host(member.name, member.host, options.namespace, always, member.scope)])

    member = joining.join(options.state, invitation, keep, print)
    print(f"{member.name} has joined {member.url}. Now hold its firewall: jitgate-agent run")


def _run(options: argparse.Namespace) -> None:
    # Ctrl-C reaches the whole terminal; an agent beside its server ends when that closes the socket.
    if options.fd is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Until there are hosts to look at. They look at their orders when they begin.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    link = _polling(options.state) if options.fd is None else SocketLink(socket.socket(fileno=options.fd))
    # There may be 100,000 keys, and hardly any garbage that only a search through all of them finds.
    gc.set_threshold(_GARBAGE_AFTER)
    # Waits for a former agent to end: only one process can own a host's table.
    held = roster.hold_pid(options.state, wait=True)
    clock = SystemClock()
    posts = [Post(host, host.directory(options.state), clock, link.say) for host in roster.read(options.state)]
    if isinstance(link, PollingLink):
        link.on_session(lambda: _tell_again(posts))

    def reread(*_: object) -> None:
        for post in posts:
            post.reread()

    signal.signal(signal.SIGHUP, reread)
    _log.info("holding %s", ", ".join(post.host.name for post in posts) or "no host")
    keep_looking(posts)
    serve(link, posts)
    assert held is not None
    os.close(held)


def _tell_again(posts: Sequence[Post]) -> None:
    for post in posts:
        post.tell_again()


def _polling(state: Path) -> PollingLink:
    member = membership.read(state)
    return PollingLink(state, member, signatures.load(state / membership.KEY), SystemClock())


def _status(options: argparse.Namespace) -> None:
    found = [on_site.status(options.state, each, SystemClock()) for each in on_site.find(options.state, None)]
    if options.json:
        print(json.dumps(list(map(as_json, found)), indent=2))
    else:
        print("\n".join(line for each in found for line in as_text(each)))


def _order(options: argparse.Namespace) -> None:
    clock = SystemClock()
    for host in on_site.find(options.state, None):
        order = Order(options.release, on_site.who(), options.why, clock.wall())
        done = on_site.order(options.state, host, order, clock)
        what = "released" if options.release else "protected again" if done else "protected when the agent runs"
        print(f"{host.name}: {what}.")
