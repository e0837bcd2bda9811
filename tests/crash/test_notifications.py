"""kill -9 between a receiver's yes and its note: it hears the message again, and misses none."""

import base64
import json
import time
from pathlib import Path

import httpx
import pytest
from tests.crash.story import IN_A_NOTIFICATION
from tests.netns import Network
from tests.notify.receiver import Endpoint
from tests.processes import Jitgate, until

pytestmark = pytest.mark.needs_root

SETTINGS = """
[[notify]]
name = "hook"
url = "{url}"
secret_file = "{secret}"
events = ["freeze"]
"""


@pytest.mark.parametrize("name", IN_A_NOTIFICATION)
def test_killed_after_a_message_was_taken_it_comes_again_and_all_the_others_do(
    network: Network, armed: Path, tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"whsec_{base64.b64encode(b's' * 32).decode()}")
    with Endpoint() as endpoint:
        settings = SETTINGS.format(url=endpoint.url, secret=secret)
        dying = {"JITGATE_FAILPOINT_WHILE": str(armed), "JITGATE_FAILPOINT": f"{name}:2"}
        with Jitgate(armed.parent, {"web-1": network.host.name}, dying, settings=settings) as jitgate:
            armed.touch()
            until(lambda: knows(jitgate, endpoint), "the receiver is not told")
            for number in range(3):
                say(jitgate, f"number {number}")
            until(lambda: "number 2" in whys(endpoint), "what happened after the crash is not told")
            assert not armed.exists(), "nobody died: this proves nothing"
    ids = [post.headers["webhook-id"] for post in endpoint.taken]
    assert len(ids) == len(set(ids)) + 1, "one message came twice, under the same id"
    once = [why for at, why in enumerate(whys(endpoint)) if ids[at] not in ids[:at]]
    assert [why for why in once if why.startswith("number")] == ["number 0", "number 1", "number 2"]


def knows(jitgate: Jitgate, endpoint: Endpoint) -> bool:
    """Whether the receiver has its place in the record: it is told what comes from then on."""
    say(jitgate, f"hello {time.monotonic_ns()}")
    return bool(endpoint.taken)


def say(jitgate: Jitgate, why: str) -> None:
    """Have something told, whoever dies meanwhile: what was done before a death need not be done again."""
    until(lambda: is_said(jitgate, why), "the server does not answer")


def is_said(jitgate: Jitgate, why: str) -> bool:
    scope = f"/subscriptions/nobody's/resourceGroups/{why.replace(' ', '-')}"
    try:
        with jitgate.client() as client:
            return client.post("/api/v1/freezes", json={"scope": scope, "why": why}).status_code in (201, 409)
    except (httpx.TransportError, FileNotFoundError):
        return False


def whys(endpoint: Endpoint) -> list[str]:
    return [json.loads(post.body)["data"]["properties"]["why"] for post in endpoint.taken]
