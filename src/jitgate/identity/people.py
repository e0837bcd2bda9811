"""People sign in at an OpenID Connect provider: the code flow with PKCE (RFC 7636), by Authlib.

What has to be remembered between the way there and the way back (state, nonce, verifier, where to go on) is in a cookie
that this server has signed, good for minutes and for this browser only.
"""

import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jitgate.identity.credentials import NotKnown
from jitgate.identity.issuers import SECONDS, Claimed, Issuer, Provider, context_of
from jitgate.identity.signing import Signer

WAY = "signin+jwt"
WAY_LIFE = timedelta(minutes=10)
LONGEST_CODE = 4096


@dataclass(frozen=True, slots=True)
class Way:
    """What is remembered. `provider`: its name; `back`: where the provider sends people; `next`: where they go on."""

    provider: str
    state: str
    nonce: str
    verifier: str
    back: str
    next: str

    @staticmethod
    def begin(provider: str, back: str, next_path: str) -> "Way":
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        return Way(provider, state, nonce, verifier, back, next_path)

    def seal(self, signer: Signer, now: datetime) -> str:
        """As the browser keeps it."""
        return signer.sign(WAY, {name: getattr(self, name) for name in Way.__slots__}, now, WAY_LIFE)

    @staticmethod
    def read(signer: Signer, sealed: str, now: datetime) -> "Way":
        """What the browser kept. Raises NotKnown."""
        claims = signer.read(WAY, sealed, now)
        return Way(**{name: str(claims[name]) for name in Way.__slots__})


async def address_of(provider: Provider, way: Way) -> str:
    """Where to send somebody to sign in. Raises NotKnown when the provider does not answer."""
    metadata = await provider.metadata()
    async with _client(provider.issuer, way) as client:
        url, _ = client.create_authorization_url(
            metadata["authorization_endpoint"], state=way.state, nonce=way.nonce, code_verifier=way.verifier
        )
    return str(url)


async def finish(provider: Provider, way: Way, answer: Mapping[str, str], now: datetime) -> Claimed:
    """Whom the provider has signed in. `answer`: what it has sent back. Raises NotKnown."""
    if not secrets.compare_digest(answer.get("state", "").encode(), way.state.encode()):
        raise NotKnown("the state is not the one that this browser began with")
    if "error" in answer or not 0 < len(answer.get("code", "")) <= LONGEST_CODE:
        raise NotKnown(f"{provider.issuer.name} has signed nobody in")
    id_token = await _redeem(provider, way, answer["code"])
    claims = await provider.read(id_token, provider.issuer.client_id, now)
    if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), way.nonce.encode()):
        raise NotKnown("the token was made for another sign-in")
    return provider.claimed(claims)


async def _redeem(provider: Provider, way: Way, code: str) -> str:
    """The id token that the provider gives for a code. Raises NotKnown."""
    import httpx
    from authlib.common.errors import AuthlibBaseError

    metadata = await provider.metadata()
    try:
        async with _client(provider.issuer, way) as client:
            given = await client.fetch_token(metadata["token_endpoint"], code=code, code_verifier=way.verifier)
    except (AuthlibBaseError, httpx.HTTPError, ValueError) as error:
        raise NotKnown(f"{provider.issuer.name} did not accept the code") from error
    return str(given.get("id_token", ""))


def _client(issuer: Issuer, way: Way) -> Any:
    """Authlib's client. Loaded when somebody first signs in so: a server without a provider is the smaller for it."""
    with warnings.catch_warnings():
        # Authlib would rather have httpx's successor. Its filter is set when this module is loaded.
        import authlib.deprecate

        warnings.simplefilter("ignore", authlib.deprecate.AuthlibDeprecationWarning)
        from authlib.integrations.httpx_client import AsyncOAuth2Client
    secret = issuer.client_secret()
    return AsyncOAuth2Client(
        issuer.client_id,
        secret or None,
        token_endpoint_auth_method="client_secret_basic" if secret else "none",
        scope=issuer.scopes,
        redirect_uri=way.back,
        code_challenge_method="S256",
        verify=context_of(issuer),
        timeout=SECONDS,
        follow_redirects=False,
    )
