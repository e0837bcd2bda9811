"""The command line signs in as the person at a browser: an authorization code with PKCE, or a device code.

Both end in a personal token that lasts for hours. A code is good once; a device code (RFC 8628) is nobody's until a
person who is signed in has typed what the device shows, and agreed.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core.errors import Invalid, NotFound, TooMany
from jitgate.identity import credentials as proofs
from jitgate.identity.attempts import by_address, by_principal
from jitgate.identity.credentials import Known, New, NotKnown
from jitgate.identity.kinds import CODE, DEVICE, PASSING, TOKEN
from jitgate.service.attempt import attempt, event
from jitgate.service.base import Asker, Service
from jitgate.service.credentials import may_make
from jitgate.service.recognition import Caller
from jitgate.service.refusals import refuse
from jitgate.service.sessions import KEPT
from jitgate.store import credentials
from jitgate.store.database import Tx
from jitgate.store.principals import Credential
from jitgate.trust import tokens
from jitgate.trust.tokens import NO_TOKEN, Token

CODE_LIFE, DEVICE_LIFE, INTERVAL = timedelta(minutes=1), timedelta(minutes=10), timedelta(seconds=5)
MOST_WAITING, MOST_BEGUN = 1000, 10
"""How many device codes there may be that have not expired: in all, and of one address that nobody has used yet."""

_LETTERS, _LENGTH = "BCDFGHJKLMNPQRSTVWXZ", 8  # no vowels: no words (RFC 8628, 6.1)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\]):[1-9][0-9]{0,4}/?", re.ASCII)
_LABEL = "jitgate login"


class NotYet(Exception):
    """Nobody has agreed to the device yet. `too_fast`: and it asks too often."""

    def __init__(self, *, too_fast: bool) -> None:
        super().__init__()
        self.too_fast = too_fast


class NotGiven(Exception):
    """There is no token for this code. `was_denied`: somebody has said no."""

    def __init__(self, *, was_denied: bool = False) -> None:
        super().__init__()
        self.was_denied = was_denied


@dataclass(frozen=True, slots=True)
class Device:
    """What a device is given, and what it shows."""

    device_code: str
    user_code: str
    seconds: int
    interval: int


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A personal token for a command line."""

    token: str
    seconds: int


def check_redirect(text: str) -> str:
    """Where a code may be sent: a port of the loopback interface, by address (RFC 8252, 8.3). Raises Invalid."""
    if not _LOOPBACK.fullmatch(text):
        allowed = "http://127.0.0.1:PORT/ or http://[::1]:PORT/"
        raise Invalid("redirect_uri", "codes are not sent there", allowed=allowed)
    return text


def check_challenge(text: str) -> str:
    """A code challenge of method S256 (RFC 7636, 4.2). Raises Invalid."""
    if not _CHALLENGE.fullmatch(text):
        raise Invalid("code_challenge", "this is no S256 challenge", allowed="43 letters, digits, - and _")
    return text


async def make_code(service: Service, asker: Asker, redirect: str, challenge: str) -> str:
    """A code for the command line on the machine of who agrees. Raises Invalid, Forbidden."""
    facts = {"redirect": check_redirect(redirect), "challenge": check_challenge(challenge)}

    def work(tx: Tx) -> str:
        may_make(asker)
        credentials.forget(tx, PASSING, tx.now - KEPT)
        return proofs.make(tx, asker.principal.uid, New(CODE, _LABEL, CODE_LIFE, facts)).text

    return await attempt(service, asker, Operation.CREDENTIAL_CREATE, asker.principal.name, work)


async def redeem_code(service: Service, caller: Caller, code: str, verifier: str, redirect: str) -> LoggedIn:
    """A token for a code, once. Raises TooMany, NotGiven."""
    _slow_down(service, caller)

    def work(tx: Tx) -> LoggedIn | NotKnown:
        token = tokens.parse(code)
        if token is None:
            return NotKnown("no code has this form")
        try:
            known = proofs.prove(tx, token, {CODE})
        except NotKnown as error:
            return error
        held = credentials.get(tx, token.id)
        credentials.revoke(tx, token.id)  # also where the rest is wrong: a code has one try
        if held is None or held.facts["redirect"] != redirect or not _fits(verifier, str(held.facts["challenge"])):
            return NotKnown("the code was made for another command line")
        return _log_in(service, tx, known, caller)

    return await _given(service, caller, await service.store.write(work))


async def begin_device(service: Service, caller: Caller) -> Device:
    """Codes for a device that has no browser. Raises TooMany."""
    _slow_down(service, caller)
    user_code = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    begun_by = by_address(caller.address)

    def work(tx: Tx) -> Token:
        credentials.forget(tx, PASSING, tx.now - KEPT)
        is_too_much = credentials.count_begun(tx, DEVICE, begun_by) >= MOST_BEGUN
        if is_too_much or credentials.count(tx, DEVICE) >= MOST_WAITING:
            raise TooMany(DEVICE_LIFE.total_seconds())
        new = New(DEVICE, _LABEL, DEVICE_LIFE, {credentials.BEGUN_BY: begun_by})
        return proofs.make(tx, None, new, id=_id_of(user_code))

    token = await service.store.write(work)
    shown = f"{user_code[:4]}-{user_code[4:]}"
    return Device(token.text, shown, int(DEVICE_LIFE.total_seconds()), int(INTERVAL.total_seconds()))


async def answer_device(service: Service, asker: Asker, user_code: str, *, allow: bool) -> None:
    """Agree, or not, that whoever shows this code acts as the asker. Raises NotFound, Forbidden, TooMany."""
    service.attempts.check(service.clock.elapsed(), by_address(asker.address), by_principal(asker.principal.uid))

    def work(tx: Tx) -> None:
        may_make(asker)
        held = credentials.get(tx, _id_of(user_code))
        if held is None or not _is_waiting(tx, held):
            raise NotFound("No command line waits with this code. Look whether it is typed as shown.")
        if allow:
            credentials.give(tx, held.id, asker.principal.uid)
        else:
            credentials.revoke(tx, held.id)

    try:
        await attempt(service, asker, Operation.CREDENTIAL_CREATE, asker.principal.name, work)
    except NotFound:
        service.attempts.failed(service.clock.elapsed(), by_address(asker.address), by_principal(asker.principal.uid))
        raise


async def redeem_device(service: Service, caller: Caller, code: str) -> LoggedIn:
    """A token for a device code that somebody has agreed to, once. Raises TooMany, NotYet, NotGiven."""
    _slow_down(service, caller)

    def work(tx: Tx) -> LoggedIn | NotKnown | NotYet | NotGiven:
        token = tokens.parse(code)
        held = credentials.get(tx, token.id) if token else None
        matches = tokens.matches(token.secret if token else "", held.secret_hash if held else NO_TOKEN)
        if held is None or token is None or not matches or held.kind != DEVICE:
            return NotKnown("no such device code")
        if held.revoked_at is not None and held.principal is None:
            return NotGiven(was_denied=True)
        if _is_waiting(tx, held):
            too_fast = held.used_at is not None and tx.now - held.used_at < INTERVAL - timedelta(seconds=1)
            credentials.use(tx, held.id, caller.address)
            return NotYet(too_fast=too_fast)
        try:
            known = proofs.prove(tx, token, {DEVICE})
        except NotKnown as error:
            return error
        credentials.revoke(tx, held.id)
        return _log_in(service, tx, known, caller)

    found = await service.store.write(work)
    if isinstance(found, NotYet | NotGiven):
        raise found
    return await _given(service, caller, found)


async def _given(service: Service, caller: Caller, found: LoggedIn | NotKnown) -> LoggedIn:
    if isinstance(found, LoggedIn):
        return found
    service.attempts.failed(service.clock.elapsed(), by_address(caller.address))
    await refuse(service, found, caller.address, caller.correlation)
    raise NotGiven


def _log_in(service: Service, tx: Tx, known: Known, caller: Caller) -> LoggedIn:
    life = service.settings.sign_in.command_line
    token = proofs.make(tx, known.principal.uid, New(TOKEN, _LABEL, life))
    asker = Asker(known.principal, known.credential, caller.address, caller.correlation)
    facts = {"kind": TOKEN, "label": _LABEL, "credential": token.id, "of": known.principal.uid}
    audit.record(tx, [event(asker, Operation.CREDENTIAL_CREATE, Outcome.SUCCEEDED, known.principal.name, facts)])
    return LoggedIn(token.text, int(life.total_seconds()))


def _is_waiting(tx: Tx, held: Credential) -> bool:
    is_open = held.revoked_at is None and held.principal is None
    return held.kind == DEVICE and is_open and held.expires_at is not None and held.expires_at > tx.now


def _id_of(user_code: str) -> str:
    """The id of a device's row: found by what a person types, in any case and with or without the dash."""
    typed = "".join(letter for letter in user_code.upper() if letter in _LETTERS)[: _LENGTH + 1]
    return hashlib.sha256(f"device:{typed}".encode()).hexdigest()[:16]


def _fits(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return hmac.compare_digest(digest, challenge)


def _slow_down(service: Service, caller: Caller) -> None:
    service.attempts.check(service.clock.elapsed(), by_address(caller.address))
