"""Trusted issuers: whose signed tokens are believed, and how one is checked.

What an issuer says of itself (OpenID Connect Discovery, 4) is fetched when it is first needed and kept for an hour,
over https only, with bounds on time and size. A key that is not among the kept ones has them fetched anew, though not
more often than once a minute, so that made-up key ids wear out nobody.

RFC 8725 throughout: algorithms from a list of asymmetric ones, `typ` looked at, issuer and audience compared whole.
"""

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from jitgate.clock import Clock
from jitgate.identity.credentials import NotKnown
from jitgate.identity.signing import LONGEST

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt", ""})
KEPT, RETRY, STALE = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
LONGEST_ANSWER, MOST_KEYS, MOST_GROUPS, LONGEST_NAME = 512 * 1024, 100, 500, 200
SECONDS = 5.0

if TYPE_CHECKING:
    import httpx

Claims = Mapping[str, Any]


class Unreachable(NotKnown):
    """The issuer does not say what is needed to check a token."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whom to believe.

    `audience`     programs' tokens are for it; "": tokens of programs are not taken
    `client_id`    jitgate's own at the issuer; "": people do not sign in there
    `name_claim`, `groups_claim`  where a token says who it is about
    `leeway`       by how much clocks may differ
    `ca`           the authority of the issuer's own certificate; None: the system's
    """

    name: str
    url: str
    audience: str = ""
    client_id: str = ""
    client_secret: Callable[[], str] = field(default=str, repr=False)
    scopes: str = "openid profile email"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    leeway: timedelta = timedelta(seconds=60)
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """Whom an issuer says that a token is about."""

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...]


class Provider:
    """One issuer, with what it says of itself."""

    def __init__(self, issuer: Issuer, clock: Clock) -> None:
        self.issuer = issuer
        self._clock = clock
        self._lock = asyncio.Lock()
        self._metadata: Claims = {}
        self._keys: KeySet | None = None
        self._fetched = float("-inf")
        self._tried = float("-inf")

    async def metadata(self) -> Claims:
        """Where its doors are. Raises Unreachable."""
        await self._ensure(KEPT)
        return self._metadata

    async def read(self, text: str, audience: str, now: datetime) -> Claims:
        """The claims of a token of this issuer for an audience. Raises NotKnown."""
        header = _header(text)
        keys = await self._keys_for(str(header.get("kid", "")))
        try:
            token = jwt.decode(text, keys, algorithms=list(ALGORITHMS))
            self._registry(audience, now).validate(token.claims)
        except (JoseError, ValueError, TypeError) as error:
            # The library's words name what is wrong, and hold nothing of the token.
            raise NotKnown(f"the token of {self.issuer.name} does not hold: {error}"[:300]) from error
        return token.claims

    def claimed(self, claims: Claims) -> Claimed:
        """Whom claims are about. Raises NotKnown."""
        subject, groups = str(claims["sub"]), claims.get(self.issuer.groups_claim, [])
        name = str(claims.get(self.issuer.name_claim) or claims.get("email") or subject)
        if not 0 < len(subject) <= 255 or not subject.isprintable():
            raise NotKnown("the token's subject cannot be kept")
        listed = groups if isinstance(groups, list) else str(groups).split()
        kept = tuple(dict.fromkeys(str(each)[:LONGEST_NAME] for each in listed))[:MOST_GROUPS]
        return Claimed(self.issuer.url, subject, name[:LONGEST_NAME], kept)

    def _registry(self, audience: str, now: datetime) -> JWTClaimsRegistry:
        return JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=int(self.issuer.leeway.total_seconds()),
            iss={"essential": True, "value": self.issuer.url},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )

    async def _keys_for(self, kid: str) -> KeySet:
        await self._ensure(KEPT)
        if kid not in self._kids():
            await self._ensure(RETRY)
        if kid not in self._kids() or self._keys is None:
            raise NotKnown(f"{self.issuer.name} has no key by the token's key id")
        return self._keys

    def _kids(self) -> set[str]:
        return {key.kid or "" for key in self._keys.keys} if self._keys else set()

    async def _ensure(self, no_older: timedelta) -> None:
        """Have what the issuer says of itself, as of lately. Raises Unreachable."""
        async with self._lock:
            now = self._clock.elapsed()
            is_fresh = now - self._fetched < no_older.total_seconds()
            if not is_fresh and now - self._tried >= RETRY.total_seconds():
                self._tried = now
                await self._try_to_fetch(now)
            if now - self._fetched > STALE.total_seconds():
                raise Unreachable(f"{self.issuer.name} cannot be asked for its keys")

    async def _try_to_fetch(self, now: float) -> None:
        import httpx

        try:
            await self._fetch()
            self._fetched = now
        except (httpx.HTTPError, ValueError, KeyError, TypeError, JoseError, OSError):
            # What was kept holds on for a day: an outage at the issuer is none here.
            return

    async def _fetch(self) -> None:
        async with client_of(self.issuer) as client:
            metadata = await get_json(client, f"{self.issuer.url.rstrip('/')}/.well-known/openid-configuration")
            if metadata["issuer"] != self.issuer.url:
                raise ValueError("it calls itself otherwise")
            found = await get_json(client, metadata["jwks_uri"])
        keys = [key for key in found["keys"] if key.get("kty") in ("RSA", "EC", "OKP")][:MOST_KEYS]
        self._keys, self._metadata = KeySet.import_key_set({"keys": keys}), metadata


@dataclass(frozen=True, slots=True)
class Issuers:
    """All issuers that are trusted."""

    providers: Sequence[Provider] = ()

    async def read(self, text: str, now: datetime) -> Claimed:
        """Whom a program's token proves, of whichever issuer. Raises NotKnown."""
        if len(text) > LONGEST:
            raise NotKnown("the token is too long")
        said = _unchecked_issuer(text)
        for provider in self.providers:
            if provider.issuer.url == said and provider.issuer.audience:
                return provider.claimed(await provider.read(text, provider.issuer.audience, now))
        raise NotKnown("the token is of no issuer that is trusted here")

    @property
    def for_people(self) -> tuple[Provider, ...]:
        """Those where people sign in."""
        return tuple(provider for provider in self.providers if provider.issuer.client_id)


def client_of(issuer: Issuer) -> "httpx.AsyncClient":
    """A client for an issuer: follows nobody elsewhere, and waits for nobody long. Loaded when first needed."""
    import httpx

    return httpx.AsyncClient(verify=context_of(issuer), timeout=SECONDS, follow_redirects=False)


def context_of(issuer: Issuer) -> ssl.SSLContext:
    """Whose certificates an issuer may have."""
    return ssl.create_default_context(cafile=issuer.ca)


async def get_json(client: "httpx.AsyncClient", url: str) -> Any:
    """What is at an https address, if it is JSON and not too much. Raises ValueError, httpx.HTTPError."""
    if not url.startswith("https://"):
        raise ValueError("not https")
    async with client.stream("GET", url) as response:
        if response.status_code != HTTPStatus.OK:
            raise ValueError("not found")
        body = b""
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LONGEST_ANSWER:
                raise ValueError("too long")
    return json.loads(body)


def _header(text: str) -> Claims:
    """A token's header, if its algorithm and type are among those that are taken. Raises NotKnown."""
    try:
        header: Claims = jws.extract_compact(text.encode()).headers()
    except (JoseError, ValueError) as error:
        raise NotKnown("the token cannot be read") from error
    if header.get("alg") not in ALGORITHMS:
        raise NotKnown("the token's algorithm is not among those that are taken")
    if str(header.get("typ", "")).lower() not in TYPES:
        raise NotKnown("the token is of another type")
    return header


def _unchecked_issuer(text: str) -> str:
    """Who a token says has signed it: good for choosing whose keys to check it by, and for nothing else."""
    try:
        claims = json.loads(jws.extract_compact(text.encode()).payload)
    except (JoseError, ValueError, RecursionError) as error:
        raise NotKnown("the token cannot be read") from error
    return str(claims.get("iss", "")) if isinstance(claims, dict) else ""
