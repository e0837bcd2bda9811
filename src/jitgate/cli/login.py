"""`jitgate login` and `jitgate logout`."""

import base64
import hashlib
import os
import secrets
import sys
import time
import webbrowser
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from jitgate.cli import kept
from jitgate.cli.exits import Failure, NotAllowed, TimedOut, Usage
from jitgate.cli.loopback import Answer
from jitgate.cli.place import Place, check_token, check_url, read_kept
from jitgate.cli.screen import Screen
from jitgate.cli.server import Door, Server, path
from jitgate.cli.session import TABLE, OutputOption, failures

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER_SECONDS = 5


def login(
    url: Annotated[
        str | None, typer.Option(help="The server; else JITGATE_URL.", metavar="https://HOST[:PORT]")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Its ca.pem; else JITGATE_CA.", metavar="FILE")] = None,
    device: Annotated[
        bool, typer.Option("--device", help="No browser here: show a code to type in elsewhere.")
    ] = False,
    token: Annotated[bool, typer.Option("--token", help="Read a personal token from standard input.")] = False,
    output: OutputOption = TABLE,
) -> None:
    """Sign this command line in, and keep a token for it, mode 600."""
    with failures(output) as screen:
        if device and token:
            raise Usage("--device and --token are two ways. Name one of them.")
        place = _place(url, ca)
        way = _by_token if token else _by_device if device else _by_browser
        signed_in = Place(place.url, check_token(way(screen, place)), place.ca)
        with Server(signed_in) as server:
            found = server.get("/whoami")
        file = kept.keep(os.environ, signed_in)
        if not screen.data({"name": found["name"], "url": place.url, "file": str(file)}):
            screen.say(f"You are {found['name']} at {place.url}. Kept in {file}.", "green")


def logout(output: OutputOption = TABLE) -> None:
    """Revoke the token that `jitgate login` has kept, and forget it."""
    with failures(output) as screen:
        place = read_kept(os.environ)
        if place is None:
            screen.say("Nobody is logged in.")
            return
        kept.forget(os.environ)
        try:
            with Server(place) as server:
                server.delete(path("tokens", place.token.split("_")[1]))
        except Failure as failure:
            screen.note(f"The token is forgotten here, and was not revoked there: {failure.message}", "yellow")
            return
        screen.say("Logged out. The token is revoked.", "green")


def _place(url: str | None, ca: Path | None) -> Place:
    named = url or os.environ.get("JITGATE_URL", "")
    if not named:
        raise Usage("Where is the server? Name it with --url https://HOST[:PORT], or set JITGATE_URL.")
    own_ca = os.environ.get("JITGATE_CA")
    return Place(check_url(named), "", ca or (Path(own_ca) if own_ca else None))


def _by_token(_screen: Screen, _place: Place) -> str:
    return sys.stdin.readline()


def _by_browser(screen: Screen, place: Place) -> str:
    verifier = secrets.token_urlsafe(64)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    with Answer() as answer:
        asked = {"redirect_uri": answer.url, "state": answer.state, "code_challenge": challenge}
        page = f"{place.url}/authorize?{urlencode(asked)}"
        screen.note(f"Go on in the browser. If none opens, open this yourself:\n{page}")
        webbrowser.open(page)
        code = answer.wait()
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": answer.url}
    with Door(place) as door:
        return _given(door.post("/login/token", form))


def _by_device(screen: Screen, place: Place) -> str:
    with Door(place) as door:
        begun = door.post("/login/device", {})
        screen.note(f"Open {begun['verification_uri']} in a browser and type {begun['user_code']}")
        interval, give_up = begun["interval"], time.monotonic() + begun["expires_in"]
        form = {"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]}
        while time.monotonic() < give_up:
            time.sleep(interval)
            answer = door.post("/login/token", form)
            if answer.get("error") == "slow_down":
                interval += _SLOWER_SECONDS
            elif answer.get("error") != "authorization_pending":
                return _given(answer)
    raise TimedOut("Nobody has typed the code in time. Run `jitgate login --device` again.")


def _given(answer: dict[str, Any]) -> str:
    if "access_token" not in answer:
        raise NotAllowed(f"No token was given: {answer.get('error_description', answer)}")
    return str(answer["access_token"])
