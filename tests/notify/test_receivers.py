"""What an administrator's files must hold, and that nothing of it is told when they do not."""

import base64
import hmac
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.notify.receiver import Endpoint, Taken

from jitgate.core.errors import Invalid
from jitgate.core.topics import Topic
from jitgate.notify.message import Message
from jitgate.notify.receivers import Channel, Webhook, apprise_channel, read_secrets
from jitgate.trust.files import write_private

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Apprise's own
MESSAGE = Message("msg_1", Topic.ALARM, b"{}", "A title", "A text")


def test_a_secret_is_read_out_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"whsec_{base64.b64encode(b's' * 24).decode()}\n")
    assert read_secrets(file, "notify[0].secret_file")() == [b"s" * 24]


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_c2hvcnQ=", "c" * 44, "whsec_not base64!", "whsec_" + "A" * 200]
)  # fmt: skip
def test_what_is_no_secret_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(Invalid) as refused:
        read_secrets(file, "notify[0].secret_file")
    assert "notify[0].secret_file" in str(refused.value)
    assert len(text) < 8 or text not in str(refused.value)


def test_a_receiver_that_knows_the_former_secret_and_one_that_knows_the_next_believe_the_same_message(
    tmp_path: Path,
) -> None:
    former, following = (f"whsec_{base64.b64encode(byte * 32).decode()}" for byte in (b"f", b"n"))
    file = tmp_path / "secret"
    file.write_text(former)
    with Endpoint() as endpoint:
        hook = Webhook("hook", frozenset(), endpoint.url, read_secrets(file, "notify[0].secret_file"))
        for text in (former, f"{former}\n{following}\n", "damaged", following):
            write_private(file, text.encode())
            hook.send(MESSAGE, datetime.now(UTC))
        seen = [(believes(former, post), believes(following, post)) for post in endpoint.taken]
    assert seen == [(True, False), (True, True), (True, True), (False, True)]


def believes(secret: str, post: Taken) -> bool:
    """What a receiver makes of it, as Standard Webhooks has it: one of the signatures has to be right."""
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return expected in post.headers["webhook-signature"].split(" ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="No such file"):
        read_secrets(tmp_path / "nothing", "notify[0].secret_file")


def test_a_webhook_does_not_show_its_secret() -> None:
    assert "sss" not in repr(vars(Webhook("hook", frozenset(), "https://example.org", lambda: [b"s" * 24])).keys())
    assert "sss" not in repr(Webhook("hook", frozenset(), "https://example.org", lambda: [b"s" * 24]))


def test_apprise_itself_delivers_to_a_real_receiver(tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    file = tmp_path / "addresses"
    with Endpoint() as endpoint:
        file.write_text(f"json://127.0.0.1:{endpoint.port}/hook\n\n")
        tell = apprise_channel(file, "notify[0].apprise_file")
        Channel("team", frozenset(), tell).send(MESSAGE, datetime.now(UTC))
        [post] = endpoint.taken
    assert b"A title" in post.body
    assert b"A text" in post.body


def test_what_somebody_wrote_is_text_to_every_service_that_apprise_knows(tmp_path: Path) -> None:
    """A reason is no place to hide a link to somewhere else in: e-mail is HTML by default."""
    pytest.importorskip("apprise")
    file = tmp_path / "addresses"
    message = Message(
        "msg_1", Topic.ALARM, b"{}", "A title", 'justification: <a href="https://evil.example">approve</a>'
    )
    with Endpoint() as endpoint:
        file.write_text(f"json://127.0.0.1:{endpoint.port}/hook?format=html\n")
        Channel("team", frozenset(), apprise_channel(file, "notify[0].apprise_file")).send(message, datetime.now(UTC))
        [post] = endpoint.taken
    assert b"<a" not in post.body
    assert b"&lt;a" in post.body


@pytest.mark.parametrize("text", ["", "nonsense://token-of-somebody", "no address at all"])
def test_addresses_that_apprise_does_not_know_are_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    pytest.importorskip("apprise")
    file = tmp_path / "addresses"
    file.write_text(text)
    with pytest.raises(Invalid) as refused:
        apprise_channel(file, "notify[0].apprise_file")
    assert not text or text not in str(refused.value)
