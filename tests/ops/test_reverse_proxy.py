"""Reverse proxies, as they are: each configuration of the how-to, in the real program, in front of a real server."""

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.connectors.gateway.scene import Echo
from tests.elsewhere import Elsewhere
from tests.processes import Jitgate, until
from tests.rotation.authorities import Issuer, pem

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "reverse-proxy.md"
NAME = "jit.example.org"
ALICE, STRANGER = "127.0.0.7", "203.0.113.9"
SETTINGS = """
[server]
trusted_proxies = ["127.0.0.1", "::1"]
allowed_hosts = ["jit.example.org"]
url = "https://jit.example.org"
"""


class ByName(httpx.HTTPTransport):
    """As if the name were known to resolve."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = NAME
        return super().handle_request(request)


@dataclass(frozen=True)
class Front:
    """A proxy that runs: where people and where agents reach it."""

    people: int
    agents: int | None
    issuer: Issuer

    def client(self, source: str = ALICE, **headers: str) -> httpx.Client:
        """Somebody at an address who types the name, and believes the issuer of the proxy's certificate."""
        context = ssl.create_default_context(cadata=pem(self.issuer.root).decode())
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.people}",
            headers={"Host": NAME, **headers},
            transport=ByName(verify=context, local_address=source),
            timeout=60,
        )


@pytest.fixture(scope="module")
def jitgate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jitgate]:
    directory = tmp_path_factory.mktemp("server") / "data"
    directory.mkdir()
    (directory / "jitgate.toml").write_text(SETTINGS)
    with Jitgate(directory, {}) as made:
        yield made


def block(language: str) -> str:
    """The configuration on the page."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def set_to(text: str, *changes: tuple[str, str]) -> str:
    """The same on ports and with files of a test. Whatever is changed has to be there."""
    for what, to in changes:
        assert what in text, what
        text = text.replace(what, to)
    return text


def nginx(at: Path, jitgate: Jitgate, people: int, agents: int) -> list[str]:
    text = set_to(
        block("nginx"),
        ("listen 443 ssl", f"listen 127.0.0.1:{people} ssl"),
        ("listen 9443", f"listen 127.0.0.1:{agents}"),
        ("127.0.0.1:8443", f"127.0.0.1:{jitgate.port}"),
        (f"/etc/nginx/{NAME}.pem", f"{at}/fullchain.pem"),
        (f"/etc/nginx/{NAME}.key", f"{at}/privkey.pem"),
        ("/etc/nginx/jitgate-ca.pem", f"{jitgate.directory}/ca.pem"),
    )
    web, stream = text.split("# beside http { }: agents, as TCP\n")
    temporary = "".join(f"{kind}_temp_path {at}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi"))
    temporary += "".join(f"{kind}_temp_path {at}/{kind};\n" for kind in ("uwsgi", "scgi"))
    (at / "nginx.conf").write_text(
        f"load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nmaster_process off;\n"
        f"pid {at}/pid;\nerror_log stderr;\nevents {{ }}\nhttp {{\naccess_log off;\n{temporary}{web}}}\n{stream}"
    )
    return ["nginx", "-p", str(at), "-c", str(at / "nginx.conf")]


def haproxy(at: Path, jitgate: Jitgate, people: int, agents: int) -> list[str]:
    pair = at / "pair.pem"
    pair.touch(0o600)
    pair.write_bytes((at / "fullchain.pem").read_bytes() + (at / "privkey.pem").read_bytes())
    text = set_to(
        block("haproxy"),
        ("bind :443", f"bind 127.0.0.1:{people}"),
        ("bind :9443", f"bind 127.0.0.1:{agents}"),
        ("127.0.0.1:8443", f"127.0.0.1:{jitgate.port}"),
        (f"/etc/haproxy/{NAME}.pem", str(pair)),
        ("/etc/haproxy/jitgate-ca.pem", f"{jitgate.directory}/ca.pem"),
    )
    (at / "haproxy.cfg").write_text(text)
    return ["haproxy", "-db", "-f", str(at / "haproxy.cfg")]


def caddy(at: Path, jitgate: Jitgate, people: int, _agents: int) -> list[str]:
    text = set_to(
        block("caddyfile"),
        (
            f"{NAME} {{\n",
            f"https://{NAME}:{people} {{\n    bind 127.0.0.1\n    tls {at}/fullchain.pem {at}/privkey.pem\n",
        ),
        ("127.0.0.1:8443", f"127.0.0.1:{jitgate.port}"),
        ("/etc/caddy/jitgate-ca.pem", f"{jitgate.directory}/ca.pem"),
    )
    if version_of_caddy() < (2, 8):
        text = set_to(text, ("tls_trust_pool file", "tls_trusted_ca_certs"))
    (at / "Caddyfile").write_text(f"{{\n    admin off\n    auto_https off\n    storage file_system {at}\n}}\n{text}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(at / "Caddyfile")]


def version_of_caddy() -> tuple[int, ...]:
    said = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    assert found is not None
    return tuple(map(int, found.groups()))


Configure = Callable[[Path, Jitgate, int, int], list[str]]


@pytest.fixture(scope="module", params=[nginx, haproxy, caddy], ids=["nginx", "haproxy", "caddy"])
def front(
    request: pytest.FixtureRequest, jitgate: Jitgate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    configure: Configure = request.param
    if shutil.which(configure.__name__) is None:
        pytest.skip(f"{configure.__name__} is not installed: tools/setup dev")
    at, issuer = tmp_path_factory.mktemp("proxy"), Issuer("An Authority")
    issuer.issue(at, (NAME,))
    people, agents = free_port(), free_port()
    command = configure(at, jitgate, people, agents)
    log = at / "log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, cwd=at) as process:
        try:
            until(lambda: process.poll() is not None or accepts(people), f"it does not listen: {log.read_text()}")
            assert process.poll() is None, log.read_text()
            yield Front(people, None if configure is caddy else agents, issuer)
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def token(jitgate: Jitgate) -> str:
    return "Bearer " + (jitgate.directory / "owner.token").read_text().strip()


@pytest.mark.parametrize(
    "claimed",
    [
        {},
        {"X-Forwarded-For": STRANGER},
        {"X-Forwarded-For": f"{STRANGER}, 127.0.0.1"},
        {"Forwarded": f"for={STRANGER}"},
        {"X-Forwarded-For": STRANGER, "Forwarded": f"for={STRANGER}"},
    ],
    ids=["nothing", "X-Forwarded-For", "a list", "Forwarded", "both"],
)
def test_people_are_seen_to_come_from_their_own_address_whatever_they_claim(
    front: Front, jitgate: Jitgate, claimed: dict[str, str]
) -> None:
    with front.client(Authorization=token(jitgate), **claimed) as client:
        found = client.get("/api/v1/whoami")
    assert found.status_code == 200, found.text
    assert found.json()["address"] == ALICE


def test_whoever_does_not_come_by_the_proxy_is_not_believed(jitgate: Jitgate) -> None:
    context = ssl.create_default_context(cafile=str(jitgate.directory / "ca.pem"))
    transport = httpx.HTTPTransport(verify=context, local_address=ALICE)
    headers = {"Authorization": token(jitgate), "X-Forwarded-For": STRANGER}
    with httpx.Client(base_url=jitgate.url, headers=headers, transport=transport) as client:
        assert client.get("/api/v1/whoami").json()["address"] == ALICE


def test_a_page_signs_in_and_hears_of_what_happens_at_once(front: Front, jitgate: Jitgate) -> None:
    with jitgate.client() as owner:
        path = owner.post("/api/v1/sign-in-links").json()["path"]
    with front.client(Origin=f"https://{NAME}") as client:
        signed_in = client.post("/sign-in/link", data={"link": path.rpartition("#")[2]})
        assert signed_in.status_code == 303, signed_in.text
        cookie = "; ".join(f"{name}={value}" for name, value in signed_in.cookies.items())
    with front.client(Cookie=cookie) as client, client.stream("GET", "/live") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = events.iter_lines()
        next(lines)
        with jitgate.client() as owner:
            owner.post("/api/v1/principals", json={"name": f"p{front.people}", "kind": "user"}).raise_for_status()
        assert any(line.startswith("event:") for line in lines)


def test_agents_join_and_poll_by_the_port_of_their_own(front: Front, jitgate: Jitgate, tmp_path: Path) -> None:
    if front.agents is None:
        with front.client() as client:  # It speaks HTTP only; the page says so.
            assert client.get("/agents/v1/keys").status_code == 200
        return
    echo = Echo()
    with contextlib.closing(echo), Elsewhere(tmp_path / "edge", echo, f"edge-{front.agents}") as edge:
        joined = edge.join(jitgate, f"win-{front.agents}", url=f"https://127.0.0.1:{front.agents}")
        assert joined.returncode == 0, joined.stderr
        edge.start()
        until(lambda: (jitgate.machine(f"win-{front.agents}") or {}).get("verified"), "the agent is not heard")
