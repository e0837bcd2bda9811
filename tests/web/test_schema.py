"""Both faces against their own description: whatever fits it, and much that does not, is answered and never a 500."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from tests.server import Server

from jitgate.service.base import Service
from jitgate.web.app import create_app

LONG_WAITS = (59, 60, "59", "60", "60.0")
"""Fine to ask for, but nothing that is asked for at random comes to pass."""

CHECKS = (not_a_server_error, content_type_conformance, response_schema_conformance)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as running:
        yield running


# The description does not depend on what the service holds, so it can be had before there is one.
schema = schemathesis.openapi.from_dict(
    create_app(cast("Service", None), trusted_proxies=(), allowed_hosts=()).openapi()
)


@schema.parametrize()
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_whatever_comes_as_described(case: Any, server: Server) -> None:
    if case.query and case.query.get("wait") in LONG_WAITS:
        case.query["wait"] = 0
    headers = {"Authorization": f"Bearer {server.token}"}
    case.call_and_validate(base_url=server.base_url, headers=headers, verify=str(server.ca), checks=CHECKS, timeout=30)
