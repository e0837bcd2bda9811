"""The agents' routes. Whoever polls is known by a signature, whoever joins by a token; nobody here is a principal.

::

    POST /agents/v1/join         Authorization: Bearer TOKEN     Jitgate-Signature: of the body, by the new host's key
    POST /agents/v1/poll         Authorization: Agent UUID SIGNATURE      Jitgate-Session: of a body above 64 KiB
    GET  /agents/v1/keys         the key set, signed by the root key
    GET  /agents/v1/authorities  what the server's TLS certificate is checked against; a new host compares its pin
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import cast

from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.responses import Response

from jitgate.connectors.hosts import polls
from jitgate.connectors.hosts.fleet import Fleet
from jitgate.connectors.hosts.line import LARGEST_OF_STRANGERS, Member
from jitgate.connectors.hosts.polls import Poll
from jitgate.connectors.hosts.wire import Malformed
from jitgate.core.errors import Invalid, TooLarge, Unauthenticated, Unavailable
from jitgate.identity.credentials import NotKnown
from jitgate.service import hosts
from jitgate.service.hosts import Claim
from jitgate.store.hosts import Host, Membership
from jitgate.trust import signatures
from jitgate.trust.keyset import Keyring, as_json
from jitgate.trust.signatures import Forged
from jitgate.web.agents.forms import JoinForm
from jitgate.web.authentication import bearer
from jitgate.web.dependencies import service_of
from jitgate.web.errors import cloud_error, json_response
from jitgate.web.readiness import must_answer_now

_BODY_SECONDS = 30.0
_GIVES_WAY_SECONDS = 1.0
"""How long a poll gives way at the most. An agent's answer is waited for five times as long."""
_AT_ONCE = 16
"""Polls that go on together when they have given way: a thousand would hold up everybody else."""
_NOT_INVITED = "This is no join token that is in force: it may be used up, or over. Make another: jitgate host token"
_ANOTHERS = "Another replica of this server holds that session. Connect anew, or poll without a session to begin one."
_ANEW = {"Connection": "close"}
_UNKNOWN = "This is not signed by a host that has joined. If it was removed, join again: jitgate agent join"


@dataclass(frozen=True, slots=True)
class AgentLink:
    """What the routes answer with: the connector that polls reach, the keys as of now, our own authority that signs the
    server's certificate, all of them, and which replica this is. `orders_are_out` returns when hardly anybody waits
    to be told something, or after so many seconds."""

    fleet: Fleet
    keyring: Callable[[], Keyring]
    authority: Callable[[], str]
    authorities: Callable[[], str]
    replica: str
    orders_are_out: Callable[[float], Awaitable[None]]
    _turns: asyncio.Semaphore = field(init=False, default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def give_way(self) -> None:
        """Have those told first who have nothing yet: a change for a thousand hosts would else reach the last of them
        after all that the others say to it."""
        now = asyncio.get_running_loop().time
        until = now() + _GIVES_WAY_SECONDS
        async with self._turns:
            await self.orders_are_out(until - now())


def add_routes(app: FastAPI) -> None:
    """Add them to the application. Plain ones: ten thousand hosts poll 250 times a second, and nothing of a poll is for
    FastAPI to read."""
    for path, endpoint, method in (
        (polls.JOIN_PATH, join, "POST"),
        (polls.POLL_PATH, poll, "POST"),
        (polls.KEYS_PATH, keys, "GET"),
        (polls.AUTHORITIES_PATH, authorities, "GET"),
    ):
        app.add_route(path, endpoint, methods=[method], include_in_schema=False)


async def join(request: Request) -> Response:
    """Let a host join, or say that it has to wait for an administrator (202)."""
    token = bearer(request.scope)
    if not token:
        raise Unauthenticated("A host joins by a join token: Authorization: Bearer TOKEN. Make one: jitgate host token")
    body = await _body(request, LARGEST_OF_STRANGERS)
    form = _form(body)
    try:
        signatures.verify(form.public_key, polls.JOIN, body, request.headers.get("jitgate-signature", ""))
    except Forged as error:
        raise Invalid("publicKey", str(error), allowed="the key that the body is signed with") from None
    address, told = request.scope["state"]["address"], tuple(form.addresses)
    claim = Claim(form.name, form.public_key, told, address, form.kind, form.place)
    try:
        host = await hosts.join(service_of(request), token, claim, request.scope["state"]["correlation"])
    except NotKnown:
        raise Unauthenticated(_NOT_INVITED) from None
    return json_response(_membership(host, link_of(request).keyring()), 200 if host.state is Membership.JOINED else 202)


async def poll(request: Request) -> Response:
    """Take in what a host says, and answer when there is something to say to it."""
    # Thousands of hosts poll for ever; what comes of it has lines of its own.
    request.scope["state"]["is_routine"] = True
    uuid, signature = _signed_by(request)
    link = link_of(request)
    if must_answer_now():
        raise Unavailable("This server ends. Connect to another one, or to this one in a moment.")
    body = await _body(request, link.fleet.largest(uuid, request.headers.get("jitgate-session", "")))
    received = service_of(request).clock.elapsed()
    await link.give_way()
    # Not before: who takes long to send must not speak as what it was when it began.
    host = await hosts.member(service_of(request), uuid)
    if host is None:
        raise Unauthenticated(_UNKNOWN)
    member = Member(host.uuid, host.scope, host.public_key, host.address)
    try:
        signatures.verify(member.key, polls.POLL, body, signature)
        said = await _decoded(body)
        if said.host != member.uuid:
            raise Forged("the poll speaks of another host")
        if await _is_anothers(request, member, said):
            return json_response(cloud_error("MisdirectedRequest", _ANOTHERS), HTTPStatus.MISDIRECTED_REQUEST, _ANEW)
        reply = await link.fleet.poll(member, said, polls.HOLD_SECONDS, received)
    except Forged:
        raise Unauthenticated(_UNKNOWN) from None
    except Malformed as error:
        raise Invalid("body", str(error), allowed="a poll, as this version or an earlier one says it") from None
    ring = link.keyring()
    answer = polls.encode_reply(replace(reply, keys=ring.signed if lacks_keys(said, ring) else None))
    signed = {"Jitgate-Signature": ring.controller(service_of(request).clock.wall()).sign(polls.REPLY, answer)}
    return Response(answer, headers=signed, media_type="application/json")


def lacks_keys(said: Poll, ring: Keyring) -> bool:
    """Whether an agent is to be told the keys. An earlier version that has pinned a former root would believe nothing
    of the reply; it goes on with the keys that it knows."""
    return said.epoch < ring.epoch and (said.version >= polls.KNOWS_ROOTS or not ring.handed_over)


async def _is_anothers(request: Request, member: Member, said: Poll) -> bool:
    """Whether another replica holds the session. Balancers that deal out connections in turn bring an agent that had to
    connect anew to any of them; if each began a session of its own, it would be compared whole each time."""
    link = link_of(request)
    if not said.session or link.fleet.is_in(member.scope, said.session):
        return False
    return await hosts.talks_elsewhere(service_of(request), member.scope, link.replica)


async def keys(request: Request) -> Response:
    """The key set: whoever pinned the root key needs no other proof of it."""
    ring = link_of(request).keyring()
    return json_response({**as_json(ring.signed), "handedOver": list(map(as_json, ring.handed_over))})


async def authorities(request: Request) -> Response:
    """The certificate authority that signs now, PEM; with ``?all``, those before and after it, too."""
    link = link_of(request)
    found = link.authorities() if "all" in request.query_params else link.authority()
    return Response(found, media_type="application/x-pem-file")


def link_of(request: Request) -> AgentLink:
    """The link that this application's agents reach. Raises Unavailable where none do."""
    link = cast("AgentLink | None", request.app.state.agents)
    if link is None:
        raise Unavailable("Agents do not reach this server. Ask the one that they do reach.")
    return link


def _signed_by(request: Request) -> tuple[str, str]:
    """The host that a call says it is by, and the signature."""
    parts = request.headers.get("authorization", "").split(" ")
    if len(parts) != 3 or parts[0].lower() != "agent":
        raise Unauthenticated(_UNKNOWN)
    return parts[1], parts[2]


async def _body(request: Request, most: int) -> bytes:
    found = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                found += piece
                if len(found) > most:
                    raise TooLarge("body", "the body is too large", allowed=f"at most {most} bytes")
    except TimeoutError:
        raise Invalid("body", "the body did not come in time", allowed=f"{_BODY_SECONDS:.0f} seconds") from None
    return bytes(found)


async def _decoded(body: bytes) -> Poll:
    """The poll. A large one is read beside the event loop. Raises Malformed."""
    if len(body) <= LARGEST_OF_STRANGERS:
        return polls.decode_poll(body)
    return await asyncio.to_thread(polls.decode_poll, body)


def _form(body: bytes) -> JoinForm:
    try:
        return JoinForm.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "body"
        raise Invalid(field, str(first["msg"]), allowed="what `jitgate agent join` sends") from None


def _membership(host: Host, ring: Keyring) -> dict[str, object]:
    return {
        "state": str(host.state),
        "kind": str(host.kind),
        "host": host.uuid,
        "name": host.name,
        "scope": host.scope,
        "root": ring.root,
        "keys": as_json(ring.signed),
    }
