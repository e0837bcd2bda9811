"""Whatever is sent, by the description of the API and against it: an answer that the description knows, and no 5xx."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests
import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.server import Server

from jitgate.service.base import Service
from jitgate.web.app import create_app

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

# The description needs no service.
application = create_app(cast("Service", None), trusted_proxies=(), allowed_hosts=())
schema = schemathesis.openapi.from_dict(application.openapi()).include(path_regex="^/api/v1/")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all: a handshake for each call would take most of the time."""
    with requests.Session() as made:
        yield made


@schema.parametrize()
@settings(max_examples=settings().max_examples // 10)
def test_every_answer_is_one_that_is_described(
    case: schemathesis.Case[Any], server: Server, session: requests.Session
) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    case.call_and_validate(
        base_url=server.base_url, session=session, headers=headers, verify=str(server.ca), checks=CHECKS
    )
