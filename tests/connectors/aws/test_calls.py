"""Calls: what looks may look again; what changes something is made once, and is over before whoever asked for it is."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs

import pytest
from tests.connectors.aws.scene import CREDENTIALS, REGION

from jitgate.connectors.aws.calls import CALL_SECONDS, Accounts, Ec2, Refused
from jitgate.connectors.aws.settings import Settings
from jitgate.connectors.base import ConnectorError
from jitgate.reconcile.loop import LEASE_LENGTH

BUSY = """<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message>
</Error></Errors><RequestID>1</RequestID></Response>"""
WHO = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"""
NONE = """<DescribeSecurityGroupsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><securityGroupInfo/>
</DescribeSecurityGroupsResponse>"""


async def test_a_call_that_changes_something_is_made_once_and_one_that_looks_is_made_again() -> None:
    with busy_amazon() as (url, heard), patch.dict("os.environ", CREDENTIALS):
        accounts = Accounts(Settings((REGION,), endpoint=url))
        [ec2] = await accounts.each()
        assert await ec2.pages("describe_security_groups", "SecurityGroups") == []
        with pytest.raises(Refused, match="made again later") as refused:
            await ec2.ask("revoke_security_group_ingress", GroupId="sg-1", SecurityGroupRuleIds=["sgr-1"])
        accounts.close()
    assert refused.value.is_throttled
    assert refused.value.retry
    assert heard["DescribeSecurityGroups"] == 2
    assert heard["RevokeSecurityGroupIngress"] == 1


async def test_a_write_that_has_begun_is_over_before_the_pass_that_asked_for_it_is() -> None:
    slow = Slow()
    with ThreadPoolExecutor(1) as threads:
        ec2 = Ec2("1", REGION, slow, slow, threads)
        asyncio.get_running_loop().call_later(0.3, slow.goes_on.set)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ec2.ask("authorize_security_group_ingress")
        assert slow.ended == ["authorize_security_group_ingress"]


async def test_a_write_that_has_not_begun_when_its_pass_ends_never_does_and_no_look_is_waited_for() -> None:
    slow = Slow()
    with ThreadPoolExecutor(1) as threads:
        ec2 = Ec2("1", REGION, slow, slow, threads)
        for operation in ("describe_instances", "authorize_security_group_ingress"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await ec2.ask(operation)
        assert slow.ended == []
        slow.goes_on.set()
    assert slow.ended == ["describe_instances"]


async def test_a_pass_whose_connector_is_ended_meanwhile_finishes_its_call_and_is_told_to_look_again() -> None:
    slow = Slow()
    accounts = Accounts(Settings((REGION,)))
    ec2 = Ec2("1", REGION, slow, slow, accounts._threads)
    asked = asyncio.create_task(ec2.ask("revoke_security_group_ingress"))
    await asyncio.sleep(0.05)
    accounts.close()
    with pytest.raises(ConnectorError, match="looked at again"):
        await ec2.ask("authorize_security_group_ingress")
    slow.goes_on.set()
    await asked
    assert slow.ended == ["revoke_security_group_ingress"]


def test_a_write_ends_before_the_lease_of_its_pass_does() -> None:
    assert LEASE_LENGTH.total_seconds() / 2 + CALL_SECONDS < LEASE_LENGTH.total_seconds()


class Slow:
    """A client whose calls end when they are let go on."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.ended: list[str] = []

    def __getattr__(self, operation: str) -> Any:
        def call() -> dict[str, Any]:
            self.goes_on.wait(10)
            self.ended.append(operation)
            return {}

        return call


@contextmanager
def busy_amazon() -> Iterator[tuple[str, Counter[str]]]:
    """What stands for Amazon, and refuses the first look, and each change, for too many calls; and what it heard."""
    heard: Counter[str] = Counter()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            [action] = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["Action"]
            heard[action] += 1
            answers = {"GetCallerIdentity": WHO, "DescribeSecurityGroups": NONE if heard[action] > 1 else ""}
            told = answers.get(action) or BUSY
            self.send_response(503 if told is BUSY else 200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
