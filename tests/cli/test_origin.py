"""`--from me`: never silently loopback, and never somebody else (case PV7)."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.cli.conftest import Cli

from jitgate.cli import origin
from jitgate.cli.exits import Usage
from jitgate.cli.origin import Origin, find_origin
from jitgate.cli.place import Place
from jitgate.cli.server import Server

HERE, HERE_6 = "203.0.113.7", "2001:db8::7"


class Told(Server):
    """A server that sees its caller at one address by each family, and knows one machine."""

    def __init__(
        self,
        seen: str | None,
        *,
        other: str | None = None,
        machine: Sequence[str] = ("10.0.0.1",),
        host: str = "jitgate.example",
    ) -> None:
        super().__init__(Place(f"https://{host}", "token"))
        self.seen, self.other, self.machine = seen, other, machine

    def get(self, path: str, **query: Any) -> Any:
        return {"address": self.seen} if path == "/whoami" else {"addresses": list(self.machine)}


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names resolve in both families, and no proxy is set."""
    monkeypatch.setattr(origin, "_resolves", lambda host, family: host == "jitgate.example")
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def find(server: Told, monkeypatch: pytest.MonkeyPatch, *words: str, **environ: str) -> Origin:
    """What is meant, where asking over the other family is answered by the same server."""

    def over(place: Place, local_address: str | None = None) -> Told:
        return Told(server.other)

    monkeypatch.setattr(origin, "Server", over)
    return find_origin(server, words, ["web-1"], environ)


SSH = {"SSH_CLIENT": "198.51.100.9 50000 22"}


@pytest.mark.parametrize(
    ("seen", "environ", "expected"),
    [
        pytest.param(HERE, {}, HERE, id="what the server sees"),
        pytest.param(HERE, SSH, HERE, id="what the server sees, though there is an SSH session"),
        pytest.param("::ffff:203.0.113.7", {}, HERE, id="IPv4 that came by an IPv6 socket"),
        pytest.param(HERE_6, {}, HERE_6, id="IPv6"),
        pytest.param("10.1.2.3", {}, "10.1.2.3", id="a private address"),
        pytest.param("127.0.0.1", SSH, "198.51.100.9", id="loopback, in an SSH session"),
        pytest.param("::1", SSH, "198.51.100.9", id="IPv6 loopback, in an SSH session"),
        pytest.param("::ffff:127.0.0.1", SSH, "198.51.100.9", id="loopback by an IPv6 socket, in an SSH session"),
        pytest.param(
            "127.0.0.1", {"SSH_CONNECTION": "198.51.100.9 50000 10.0.0.1 22"}, "198.51.100.9", id="SSH_CONNECTION alone"
        ),
        pytest.param("127.0.0.1", {"SSH_CLIENT": "fe80::1%eth0 1 22"}, "fe80::1", id="an SSH client with a zone"),
        pytest.param(None, SSH, "198.51.100.9", id="a server that cannot tell, in an SSH session"),
    ],
)
def test_me_is(seen: str | None, environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(Told(seen), monkeypatch, **environ).sources == (expected,)


@pytest.mark.parametrize(
    ("seen", "environ"),
    [
        pytest.param("127.0.0.1", {}, id="loopback"),
        pytest.param("127.8.8.8", {}, id="another loopback address"),
        pytest.param("::1", {}, id="IPv6 loopback"),
        pytest.param(None, {}, id="a server that cannot tell"),
        pytest.param("127.0.0.1", {"SSH_CLIENT": "127.0.0.1 1 22"}, id="an SSH session from here to here"),
        pytest.param("127.0.0.1", {"SSH_CLIENT": "::1 1 22"}, id="an SSH session from here to here by IPv6"),
        pytest.param("127.0.0.1", {"SSH_CLIENT": "nonsense"}, id="an SSH_CLIENT that is none"),
        pytest.param("127.0.0.1", {"SSH_CLIENT": ""}, id="an empty SSH_CLIENT"),
    ],
)
def test_where_nobody_can_tell_it_asks(
    seen: str | None, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Usage, match="--from 203"):
        find(Told(seen), monkeypatch, **environ)


def test_both_families_are_opened_where_server_and_machine_have_both(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Told(HERE, other=HERE_6, machine=("10.0.0.1", "2001:db8::1"))
    assert find(server, monkeypatch).sources == (HERE, HERE_6)
    server = Told(HERE_6, other=HERE, machine=("10.0.0.1", "2001:db8::1"))
    assert find(server, monkeypatch).sources == (HERE_6, HERE)


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(Told(HERE, other=HERE_6), id="the machine has IPv4 only"),
        pytest.param(
            Told(HERE, other=HERE_6, machine=("2001:db8::1",), host="v4.example"), id="the server has IPv4 only"
        ),
        pytest.param(Told(HERE, other="::1", machine=("2001:db8::1",)), id="the other family shows loopback"),
        pytest.param(Told(HERE, other=None, machine=("2001:db8::1",)), id="the other family shows nothing"),
        pytest.param(Told(HERE, other="192.0.2.1", machine=("2001:db8::1",)), id="a gateway turns it into IPv4"),
    ],
)
def test_one_family_is_opened_where_only_one_is_used(server: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(server, monkeypatch).sources == (HERE,)


def test_behind_a_proxy_the_address_is_shown_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    found = find(Told(HERE), monkeypatch)
    assert found.sources == (HERE,)
    assert "through the proxy" in found.remark


def test_what_is_typed_is_taken_as_it_is_loopback_too(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("127.0.0.1", "192.0.2.0/24", "2001:DB8::1")
    assert find(Told("127.0.0.1"), monkeypatch, *words).sources == ("127.0.0.1", "192.0.2.0/24", "2001:db8::1")


def test_me_may_stand_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(Told(HERE), monkeypatch, "me", "192.0.2.0/24").sources == (HERE, "192.0.2.0/24")


def test_anywhere_is_never_meant_unless_it_is_said_and_then_it_is_remarked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case PV8."""
    for word, source in (("any", "*"), ("*", "*"), ("0.0.0.0/0", "0.0.0.0/0"), ("::/0", "::/0")):
        found = find(Told(HERE), monkeypatch, word)
        assert found.sources == (source,)
        assert "every address" in found.remark
    assert "*" not in find(Told(HERE), monkeypatch).sources


def test_on_the_servers_own_machine_open_asks_for_an_address_and_opens_nothing(cli: Cli) -> None:
    ran = cli("open", "web-1", "ssh", SSH_CLIENT="")
    assert ran.code == 2
    assert "--from 203.0.113.7" in ran.err
    assert not cli.grants()


def test_the_source_that_was_found_is_shown(cli: Cli) -> None:
    ran = cli("open", "web-1", "ssh")
    assert "Source 203.0.113.7. This is where your SSH session comes from." in ran.err
