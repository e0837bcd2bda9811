"""What jitgate is compared with: one POST that does one durable INSERT, through the same parts.

``python -m bench.bare DIRECTORY [--own-commit]`` serves it and prints its port. FastAPI on uvicorn with the same
settings, TLS with a certificate of the same kind, the same store, a statement that is built once; but nobody is
authenticated, nothing is decided, logged or put on record, and no firewall is touched.
"""

import argparse
import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import insert

from jitgate.clock import SystemClock
from jitgate.store.database import Store
from jitgate.store.schema import meta
from jitgate.store.writer import Writer
from jitgate.trust import certificates

PATH = "/rows"
BODY = '{"name": "@SOURCE@", "value": "one row"}'

_insert = insert(meta)


class Row(BaseModel):
    """What is inserted."""

    name: str
    value: str


def create_app(store: Store) -> FastAPI:
    """The application: one route."""
    app = FastAPI()

    @app.post(PATH, status_code=201)
    async def add(row: Row) -> Row:
        await store.write(lambda tx: tx.execute(_insert, {"name": row.name, "value": row.value}))
        return row

    return app


def run() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--own-commit", action="store_true", help="a commit for each INSERT")
    options = parser.parse_args()
    if options.own_commit:
        Writer.group = 1
    clock = SystemClock()
    store = Store.open(f"sqlite:///{options.directory / 'bare.db'}", clock)
    made = certificates.ensure(options.directory, certificates.LOOPBACK, clock.wall())
    config = uvicorn.Config(
        create_app(store),
        ssl_certfile=str(made.server),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        print(listening.getsockname()[1], flush=True)
        uvicorn.Server(config).run([listening])
    store.close()


if __name__ == "__main__":
    run()
