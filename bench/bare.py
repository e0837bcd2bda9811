"""What jitgate is compared with: one POST that does one durable INSERT, through the same web stack.

``python -m bench.bare DIRECTORY [--own-commit] [--plain] [--database URL]`` serves it and prints its port. It is
jitgate's own application, served with the same settings and over TLS with a certificate of the same kind, with one
route more. So a row too is asked for by somebody who holds a token, read from JSON by the same reader, counted against
the same limits, written by the same store and logged. But nothing is decided or put on record, and no firewall is
touched.

`--plain`: FastAPI and the store alone; nobody is asked who they are, and nothing is logged.
"""

import argparse
import asyncio
import gc
import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from sqlalchemy import insert

from jitgate import telemetry
from jitgate.clock import SystemClock
from jitgate.identity.bootstrap import bootstrap
from jitgate.service.base import Service, Settings
from jitgate.store.database import Store
from jitgate.store.prepared import Prepared
from jitgate.store.schema import meta
from jitgate.store.writer import Writer
from jitgate.trust import certificates
from jitgate.web import body
from jitgate.web.app import create_app
from jitgate.web.dependencies import service_of
from jitgate.web.errors import json_response

PATH = "/rows"
BODY = '{"name": "@SOURCE@", "value": "one row"}'

_insert = Prepared(insert(meta), ["name", "value"])


class Row(BaseModel):
    """What is inserted, for FastAPI alone."""

    name: str
    value: str


async def add(request: Request) -> Response:
    """One row, as our own routes would add it."""
    row = body.parse(await request.body())
    await service_of(request).store.write(lambda tx: tx.run(_insert, [row]))
    return json_response(row, 201)


async def create_same(directory: Path, store: Store, clock: SystemClock) -> FastAPI:
    """jitgate's application with one route more."""
    installation = await bootstrap(store, directory, lambda *_: None)
    service = Service(store, clock, Settings(installation.subscription))
    app = create_app(service, trusted_proxies=[], allowed_hosts=certificates.LOOPBACK)
    app.add_api_route(PATH, add, methods=["POST"], include_in_schema=False)
    return app


def create_plain(store: Store) -> FastAPI:
    """An application that does nothing else."""
    app = FastAPI()

    @app.post(PATH, status_code=201)
    async def add_row(row: Row) -> Row:
        await store.write(lambda tx: tx.run(_insert, [{"name": row.name, "value": row.value}]))
        return row

    return app


async def serve(options: argparse.Namespace, listening: socket.socket) -> None:
    """Serve until a signal."""
    clock = SystemClock()
    store = Store.open(options.database or f"sqlite:///{options.directory / 'bare.db'}", clock)
    made = certificates.ensure(options.directory, certificates.LOOPBACK, clock.wall())
    app = create_plain(store) if options.plain else await create_same(options.directory, store, clock)
    config = uvicorn.Config(
        app,
        ssl_certfile=str(made.server),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
    print(listening.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve([listening])
    store.close()


def run() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--own-commit", action="store_true", help="a commit for each INSERT")
    parser.add_argument("--plain", action="store_true", help="without jitgate's own layers")
    parser.add_argument("--database", default="", help="the URL of one; else a file")
    options = parser.parse_args()
    telemetry.configure()
    if options.own_commit:
        Writer.group = 1
    loop = uvicorn.Config("", log_config=None).get_loop_factory()
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(serve(options, listening))


if __name__ == "__main__":
    run()
