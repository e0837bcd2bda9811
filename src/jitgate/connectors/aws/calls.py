"""Calls to EC2, one region of one account each: paged, bounded in time, and with errors that say what to do.

A call that changes something is made once: nothing is tried again here, and when a pass is over none is under way.
Whoever asks tries again, and knows by then what is to stand.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jitgate.connectors.aws.settings import Settings
from jitgate.connectors.base import ConnectorError
from jitgate.failpoints import failpoint

Json = Mapping[str, Any]
PAGE = 1000
_SMALLER_PAGES = {"describe_route_tables": 100}
"""The most that Amazon gives of these at once."""
AT_ONCE = 20
CONNECT_SECONDS, READ_SECONDS = 3.0, 6.0
CALL_SECONDS: Final = CONNECT_SECONDS + READ_SECONDS
"""How long a call that changes something may take."""
_READS = Config(
    connect_timeout=5,
    read_timeout=20,
    # Amazon's throttle is a token bucket: this mode slows down before it is empty.
    retries={"mode": "adaptive", "total_max_attempts": 3},
    max_pool_connections=AT_ONCE,
)
_WRITES = Config(
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    retries={"mode": "standard", "total_max_attempts": 1},
    max_pool_connections=AT_ONCE,
)
_READ = "describe_"
_THROTTLED = frozenset({"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"})
_SESSION_NAME = "jitgate"


class Refused(ConnectorError):
    """Amazon said no. `code` is its own."""

    def __init__(self, code: str, message: str) -> None:
        again = " It takes no more calls for now; this one is made again later" if code in _THROTTLED else ""
        super().__init__(f"AWS: {code}: {message}{again}")
        self.code = code

    @property
    def is_throttled(self) -> bool:
        """Too many calls: the same one succeeds later."""
        return self.code in _THROTTLED


@dataclass(slots=True)
class Ec2:
    """EC2 in one region of one account.

    `reader`   the client that looks, and looks again where it has to
    `writer`   the client that changes something
    `threads`  where calls are made
    `calls`    how often each was called, for measuring
    """

    account: str
    region: str
    reader: Any
    writer: Any
    threads: ThreadPoolExecutor
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.account}/{self.region}"

    async def ask(self, operation: str, **given: Any) -> Json:
        """One call. Raises Refused, and ConnectorError where no answer came.

        Cancelled, it never begins, or is over before this is: what changes something outlives nobody who asked for it.
        """
        self.calls[operation] = self.calls.get(operation, 0) + 1
        failpoint("aws.before_call")
        is_read = operation.startswith(_READ)
        call = self._begin(getattr(self.reader if is_read else self.writer, operation), given)
        try:
            answer = await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            if not is_read:
                await _is_over(call)
            raise
        failpoint("aws.after_call")
        return answer

    def _begin(self, call: Callable[..., Json], given: Mapping[str, Any]) -> Future[Json]:
        try:
            return self.threads.submit(_asked, call, given)
        except RuntimeError:  # Its threads were ended: by `Accounts.close`.
            raise ConnectorError("the connector was given other settings meanwhile; it is looked at again") from None

    async def pages(self, operation: str, items: str, **given: Any) -> list[Any]:
        """Everything that there is, page by page."""
        found: list[Any] = []
        token = ""
        while True:
            more = {"NextToken": token} if token else dict[str, str]()
            page = await self.ask(operation, MaxResults=_SMALLER_PAGES.get(operation, PAGE), **given, **more)
            found += page.get(items, ())
            token = str(page.get("NextToken") or "")
            if not token:
                return found


StandBefore = Callable[[Any, str], Any]


class Accounts:
    """The accounts and regions of a connector. Clients are made when they are first needed, and their credentials anew
    before they run out."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.monotonic, stand_before: StandBefore | None = None
    ) -> None:
        """`stand_before`: makes of each client another one, for measuring and tests."""
        self._settings = settings
        self._stand_before = stand_before or (lambda client, _region: client)
        self._clock = clock
        self._held: list[Ec2] = []
        self._until = 0.0
        self._lock = asyncio.Lock()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="aws")

    async def each(self) -> Sequence[Ec2]:
        """One for each region of each account. Raises ConnectorError."""
        async with self._lock:
            if not self._held or self._clock() >= self._until:
                made = await asyncio.to_thread(self._make)
                counted = {(one.account, one.region): one.calls for one in self._held}
                for one in made:
                    one.calls = counted.get((one.account, one.region), one.calls)
                self._held, self._until = made, self._clock() + _RENEW_SECONDS
            return self._held

    async def at(self, account: str, region: str) -> Ec2:
        """One region of one account. Raises ConnectorError where the connector has none such."""
        for one in await self.each():
            if (one.account, one.region) == (account, region):
                return one
        raise ConnectorError(
            f"region {region} of account {account} is no part of this connector any more, so nothing there is looked "
            "at, opened or shut. Name it in the connector's settings again; to leave it for good, first take its "
            "machines out of their policies and close their grants"
        )

    def close(self) -> None:
        """Let go of connections."""
        # What waits for a thread is made all the same: whoever asked for it is there still.
        self._threads.shutdown(wait=False)
        for one in self._held:
            one.reader.close()
            one.writer.close()
        self._held = []

    def _make(self) -> list[Ec2]:
        own = boto3.session.Session()
        sessions = [_assumed(own, self._settings, role) for role in self._settings.roles] or [(own, self._who(own))]
        return [
            Ec2(
                account,
                region,
                self._client(session, region, _READS),
                self._client(session, region, _WRITES),
                self._threads,
            )
            for session, account in sessions
            for region in self._settings.regions
        ]

    def _client(self, session: Any, region: str, config: Config) -> Any:
        made = session.client("ec2", region_name=region, config=config, endpoint_url=self._endpoint)
        return self._stand_before(made, region)

    def _who(self, session: Any) -> str:
        sts = session.client("sts", region_name=self._settings.regions[0], endpoint_url=self._endpoint, config=_READS)
        return str(_asked(sts.get_caller_identity, {})["Account"])

    @property
    def _endpoint(self) -> str | None:
        return self._settings.endpoint or None


_RENEW_SECONDS = 45 * 60.0
"""Before the hour is over that a role is assumed for."""


def _assumed(own: Any, settings: Settings, role: str) -> tuple[Any, str]:
    """A session of a role, and its account. Raises ConnectorError."""
    sts = own.client("sts", region_name=settings.regions[0], endpoint_url=settings.endpoint or None, config=_READS)
    wanted = {"RoleArn": role, "RoleSessionName": _SESSION_NAME}
    external = {"ExternalId": settings.external_id} if settings.external_id else {}
    given = _asked(sts.assume_role, {**wanted, **external})["Credentials"]
    session = boto3.session.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    return session, role.split(":")[4]


async def _is_over(call: Future[Json]) -> None:
    """Wait for a call that has begun, whatever comes of it. One that has not never does."""
    if not call.cancel():
        await asyncio.gather(asyncio.wrap_future(call), return_exceptions=True)


def _asked(call: Callable[..., Json], given: Mapping[str, Any]) -> Json:
    try:
        return call(**given)
    except ClientError as error:
        told = error.response.get("Error", {})
        raise Refused(str(told.get("Code", "Unknown")), str(told.get("Message", ""))[:500]) from None
    except BotoCoreError as error:
        raise ConnectorError(f"AWS does not answer: {str(error)[:300]}") from None
