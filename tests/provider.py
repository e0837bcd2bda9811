"""An OpenID Connect provider of our own, over loopback TLS: real keys, real codes, PKCE checked.

    with OidcProvider(tmp_path) as provider:
        provider.person = {"sub": "1", "preferred_username": "alice", "groups": ["ops"]}
        provider.sign({"aud": "api", "sub": "1"})

Whoever comes to its authorization endpoint is `person`, at once. `asked` counts what was fetched.
"""

import base64
import hashlib
import secrets
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from jitgate.clock import SystemClock
from jitgate.trust import certificates

CLIENT, CLIENT_SECRET, AUDIENCE = "jitgate", "the-clients-own-secret-4711", "jitgate-api"


class OidcProvider:
    """Started when entered, gone when left."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        made = certificates.ensure(directory, [], SystemClock().wall())
        self.ca = made.authority
        self.key = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
        self.person: dict[str, Any] = {"sub": "1", "preferred_username": "alice", "groups": ["ops"]}
        self.id_token: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()
        self.is_down = False
        self.extra_keys: list[dict[str, Any]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        routes = [
            Route("/.well-known/openid-configuration", self._metadata),
            Route("/keys", self._keys),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
        ]
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                Starlette(routes=routes),
                ssl_certfile=str(made.server),
                log_config=None,
                log_level="critical",
                timeout_graceful_shutdown=0,
            )
        )
        self._thread = threading.Thread(target=self._uvicorn.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._uvicorn.started:
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(5)
        self._socket.close()

    def claims(self, **other: Any) -> dict[str, Any]:
        """Claims of a token that is good."""
        now = int(time.time())
        good = {"iss": self.url, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 600, **self.person}
        return {**good, **other}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A token with this provider's key."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, "typ": "JWT", **header}, claims, self.key)

    # --- its doors ------------------------------------------------------------------------------------

    async def _metadata(self, _request: Request) -> Response:
        self.asked["metadata"] += 1
        if self.is_down:
            return Response(status_code=503)
        doors = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return JSONResponse({"issuer": self.url, **{name: self.url + path for name, path in doors.items()}})

    async def _keys(self, _request: Request) -> Response:
        self.asked["keys"] += 1
        return JSONResponse({"keys": [self.key.as_dict(private=False), *self.extra_keys]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        answer = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}", 302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        basic = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        is_client = request.headers.get("authorization") == f"Basic {basic}"
        if asked is None or challenge != asked["code_challenge"] or not is_client:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if form["redirect_uri"] != asked["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        id_token = self.claims(aud=CLIENT, nonce=asked["nonce"], **self.id_token)
        return JSONResponse(
            {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": self.sign(id_token)}
        )
