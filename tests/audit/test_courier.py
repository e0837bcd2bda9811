"""Heads leave the house: each outlet gets each head, in order, and a dead one holds nobody up."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.audit.test_sealer import say
from tests.house import HOUR, House

from jitgate.audit import courier
from jitgate.audit.courier import Courier
from jitgate.audit.outlets import FileOutlet, SyslogOutlet, Undelivered, WebhookOutlet
from jitgate.core.verification import read_sealed_head
from jitgate.store import heads


async def seal_some(house: House, count: int) -> list[bytes]:
    """The lines of so many new heads."""
    sealer = house.make_sealer()
    for n in range(count):
        await say(house, f"m{n}")
        await sealer.seal_all()
    return [sealed.line for sealed in await house.store.read(heads.page)]


async def deliver_all(house: House, outlet: FileOutlet | WebhookOutlet | SyslogOutlet) -> None:
    while await Courier(house.store, "first", [outlet]).deliver(outlet):
        pass


@contextmanager
def receiver(*answers: int) -> Iterator[tuple[str, list[bytes]]]:
    """A receiver of posts that gives these answers, then 204; its URL, and what it took."""
    taken: list[bytes] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = left.pop(0) if left else 204
            if answer < 300:
                taken.append(body)
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/heads?secret=1", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_file_gets_every_head_once_and_in_order(house: House, tmp_path: Path) -> None:
    outlet = FileOutlet(tmp_path / "heads.jsonl")
    lines = await seal_some(house, 3)
    await deliver_all(house, outlet)
    lines = await seal_some(house, 2)
    await deliver_all(house, outlet)
    kept = (tmp_path / "heads.jsonl").read_bytes().splitlines()
    assert kept == lines
    assert all(read_sealed_head(line) for line in kept)


async def test_a_file_that_is_a_link_is_not_followed(house: House, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    await seal_some(house, 1)
    with pytest.raises(Undelivered):
        await deliver_all(house, FileOutlet(tmp_path / "link"))


async def test_what_a_webhook_refuses_is_offered_again(house: House) -> None:
    lines = await seal_some(house, 2)
    with receiver(204, 500) as (url, taken):
        outlet = WebhookOutlet(url)
        assert "secret" not in outlet.name
        with pytest.raises(Undelivered, match="500"):
            await deliver_all(house, outlet)
        assert taken == lines[:1]
        await deliver_all(house, outlet)
        assert taken == lines


@pytest.mark.parametrize("way", ["tcp", "udp"])
async def test_a_syslog_server_is_told(house: House, way: str) -> None:
    [line, *_] = await seal_some(house, 1)
    kind = socket.SOCK_STREAM if way == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        if way == "tcp":
            server.listen()
        await deliver_all(house, SyslogOutlet(way, *server.getsockname()))
        if way == "udp":
            message = server.recv(65536)
        else:
            with server.accept()[0] as connection:
                length, _, message = connection.recv(65536).partition(b" ")
                assert int(length) == len(message)
    assert message.startswith(b"<109>1 2030-01-01T")
    assert message.endswith(b" jitgate - head - " + line)


async def test_a_dead_outlet_holds_up_no_other(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "LOOK_EVERY", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    alive = FileOutlet(tmp_path / "heads.jsonl")
    lines = await seal_some(house, 2)
    running = asyncio.create_task(Courier(house.store, "first", [WebhookOutlet(dead), alive]).run())
    for _ in range(6000):
        if (tmp_path / "heads.jsonl").exists() and len((tmp_path / "heads.jsonl").read_bytes().splitlines()) == 2:
            break
        await asyncio.sleep(0.01)
    running.cancel()
    assert (tmp_path / "heads.jsonl").read_bytes().splitlines() == lines


async def test_only_the_process_that_seals_delivers(house: House, tmp_path: Path) -> None:
    outlet = FileOutlet(tmp_path / "heads.jsonl")
    await seal_some(house, 1)
    other = Courier(house.store, "second", [outlet])
    assert await other.deliver(outlet) == 0
    house.clock.advance(HOUR)
    assert await other.deliver(outlet) == 1
