"""Joining a server: once, by somebody at the host who holds a join token."""

import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jitgate.agent import channel, membership
from jitgate.agent.channel import Channel
from jitgate.agent.membership import Membership
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import polls
from jitgate.core.machine import Joins
from jitgate.trust import pins, signatures
from jitgate.trust.keyset import SignedKeys
from jitgate.trust.signatures import Forged, SigningKey

_TIMEOUT_SECONDS = 15.0
_ASK_AGAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Invitation:
    """What somebody at the host says. `pin`: of the server's authority, "" where the system's authorities vouch for it;
    `place`: of a gateway, where people connect to."""

    url: str
    token: str
    pin: str
    name: str
    kind: Joins = Joins.HOST
    addresses: tuple[str, ...] = ()
    place: str = ""


def join(
    directory: Path, invitation: Invitation, keep: Callable[[Membership], None], tell: Callable[[str], None]
) -> Membership:
    """Join, and keep the membership; where an administrator has to agree, wait for it. Raises ConnectorError.

    `keep`: what else the directory must hold is put there, before the membership is.
    Safe to repeat: what was begun goes on with the same key.
    """
    if (directory / membership.FILE).exists():
        raise ConnectorError(
            f"this {invitation.kind} has joined already; to join anew, stop the agent and remove {directory}"
        )
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        key = signatures.ensure(directory / membership.KEY)
        context = channel.trusting_only(_pinned(invitation)) if invitation.pin else channel.trusting("")
        member = _ask_until_joined(invitation, key, context, tell)
        keep(member)
        membership.write(directory, member)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, Forged) as error:
        raise ConnectorError(f"could not join {invitation.url}: {error}") from error
    return member


def _pinned(invitation: Invitation) -> str:
    """The server's authority, if it is the one that was pinned."""
    asking = Channel(invitation.url, channel.trusting_nobody(), _TIMEOUT_SECONDS)
    try:
        text = asking.exchange("GET", f"{polls.AUTHORITIES_PATH}?all").body.decode("ascii")
    finally:
        asking.close()
    found = pins.fingerprints(text)
    if invitation.pin.lower() in found:
        return found[invitation.pin.lower()]
    raise ConnectorError(
        f"{invitation.url} has another authority than the one that was pinned: {', '.join(found)}. Is somebody in "
        "between? compare with what `jitgate host token` shows"
    )


def _ask_until_joined(
    invitation: Invitation, key: SigningKey, context: ssl.SSLContext, tell: Callable[[str], None]
) -> Membership:
    waits = False
    while True:
        told = _ask(invitation, key, context)
        if told["state"] == "joined":
            break
        if not waits:
            tell(f"{invitation.name} is another's name. An administrator decides: jitgate host approve")
            waits = True
        time.sleep(_ASK_AGAIN_SECONDS)
    if told.get("kind", Joins.HOST) != invitation.kind:
        raise ConnectorError(f"{invitation.url} is of a version that knows no {invitation.kind} elsewhere; update it")
    keys = SignedKeys(str(told["keys"]["body"]), str(told["keys"]["signature"]))
    keys.opened(str(told["root"]))
    return Membership(
        url=invitation.url,
        host=str(told["host"]),
        name=str(told["name"]),
        scope=str(told["scope"]),
        root=str(told["root"]),
        keys=keys,
    )


def _ask(invitation: Invitation, key: SigningKey, context: ssl.SSLContext) -> dict[str, Any]:
    said = {
        "name": invitation.name,
        "publicKey": key.public,
        "kind": str(invitation.kind),
        "place": invitation.place,
        "addresses": invitation.addresses[:64],
        "nonce": signatures.encode(os.urandom(16)),
    }
    body = json.dumps(said).encode()
    headers = {"Authorization": f"Bearer {invitation.token}", "Jitgate-Signature": key.sign(polls.JOIN, body)}
    asking = Channel(invitation.url, context, _TIMEOUT_SECONDS)
    try:
        answer = asking.exchange("POST", polls.JOIN_PATH, body, headers)
    finally:
        asking.close()
    told: dict[str, Any] = json.loads(answer.body)
    if answer.status not in (200, 202):
        raise ConnectorError(f"{invitation.url} answered {answer.status}: {told['error']['message']}")
    return told


def this_machine() -> str:
    """What a host is called unless somebody says otherwise."""
    return socket.gethostname()
