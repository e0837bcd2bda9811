"""All settings but those of gateways: one class for each table of ``jitgate.toml``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from jitgate.config.schema import required, setting
from jitgate.config.values import (
    SyslogAddress,
    choice,
    read_absolute_path,
    read_addresses,
    read_base_url,
    read_https,
    read_issuer,
    read_name,
    read_namespace,
    read_prefixes,
    read_resource_group,
    read_subscription,
    read_syslog,
    read_tags,
    read_text,
    read_texts,
    read_topics,
    so_many,
    span,
    whole,
)
from jitgate.core.errors import Invalid
from jitgate.core.prefixes import Prefix
from jitgate.core.topics import Topic

_DAY, _HOUR, _MINUTE, _SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)

Name = Callable[[str], str]
"""The full name of one of a table's settings."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Where machines outside the clouds are filed. `subscription`: None for the one made at first start."""

    subscription: str | None = setting(
        read_subscription,
        "The GUID under which machines outside the clouds are filed. Left out: one that was made up at the first start,"
        " and is kept in the database.",
        "Policies and rights name machines by it, so do not change it later.",
        example='"00000000-0000-0000-0000-000000000000"',
    )
    resource_group: str = setting(
        read_resource_group,
        "The resource group beside it. Do not change it later either.",
        "1 to 90 letters, digits and `-_.()`.",
        default='"jitgate"',
    )


@dataclass(frozen=True, slots=True)
class Server:
    """The web server. `url`: None where notifications name no address; `drain_notice`: None for what the kind of
    database calls for; `certificate_file`: None where there is only our own."""

    trusted_proxies: tuple[Prefix, ...] = setting(
        read_prefixes,
        "Prefixes of the proxies in front of jitgate: only their word about a caller's address is taken.",
        "That is `Forwarded` and `X-Forwarded-For`, read from the right. A proxy that is missing here is taken for the"
        " caller: `--from me` then opens ports for the proxy ([how to](../how-to/reverse-proxy.md)).",
        default="[]",
    )
    allowed_hosts: tuple[str, ...] = setting(
        read_texts,
        "Names that clients may call the server by, besides localhost, this machine's name and the listening address.",
        "A call by another name is refused with `InvalidHost`. Always known: `localhost`, `127.0.0.1`, `::1`, the"
        " address listened on, and beyond loopback this machine's name. All these names are also in the server's"
        " certificate.",
        default="[]",
    )
    max_body: int = setting(
        whole(1 << 16, 1 << 26),
        "The largest request, in bytes: 65536 to 67108864. A larger one is refused with 413.",
        default="524288",
    )
    url: str | None = setting(
        read_base_url,
        "Where people reach this server, for the links in notifications. Left out: they hold links without an address.",
        example='"https://jit.example.org"',
    )
    drain_notice: timedelta | None = setting(
        span("0s", "60s"),
        'How long it goes on when it is told to end, `"0s"` to `"60s"`, for a balancer to see that it is not ready any'
        " more.",
        "`/readyz` says 503 meanwhile, and answers have clients connect anew. Longer than your balancer's health check"
        " takes to see it. Left out: 5 seconds where replicas share a PostgreSQL database, else not at all.",
        example='"5s"',
    )
    certificate_file: Path | None = setting(
        read_absolute_path,
        "A certificate of another authority, PEM, followed by those of its issuers: shown to who asks for a DNS name"
        " that it holds.",
        "To everybody else, and under addresses, the server shows its own. The files are looked at every 5 seconds, and"
        " on SIGHUP: what does not hold together is logged, and the former stays"
        " ([how to](../how-to/rotate-keys.md#a-certificate-of-your-own)).",
        example='"/etc/letsencrypt/live/jit.example.org/fullchain.pem"',
    )
    certificate_key_file: Path | None = setting(
        read_absolute_path,
        "Its key, PEM, without a password, for nobody else to read: mode 600, or 640 with a group of jitgate's.",
        example='"/etc/letsencrypt/live/jit.example.org/privkey.pem"',
    )

    def check(self, name: Name) -> None:
        """A certificate is of no use without its key. Raises Invalid."""
        if (self.certificate_file is None) != (self.certificate_key_file is None):
            missing = "certificate_key_file" if self.certificate_key_file is None else "certificate_file"
            raise Invalid(name(missing), "the other half is not named", allowed="both, or neither")


@dataclass(frozen=True, slots=True)
class Access:
    """Limits on what policies may say, how long ended requests stay listed, and when to remind of an end."""

    history: timedelta = setting(
        so_many(_DAY, 1, 3650),
        "How many days an ended request stays listed with its policy: 1 to 3650.",
        "The [activity](activity.md) is not affected.",
        key="history_days",
        default="30",
    )
    longest_access: timedelta = setting(
        span("5m", "30d"),
        'The longest time that any policy may allow, `"5m"` to `"30d"`.',
        "A policy that says more is refused when it is written.",
        default='"24h"',
    )
    remind_before: timedelta = setting(
        span("0m", "24h"),
        'How long before its end the owner of an open grant is [reminded](../how-to/notifications.md), up to `"24h"`.'
        ' `"0m"`: not at all.',
        default='"10m"',
    )


@dataclass(frozen=True, slots=True)
class Record:
    """How long the record is kept, and where its signed heads are sent. None: for ever; not there."""

    retention: timedelta | None = setting(
        so_many(_DAY, 1, 36500),
        "How many days events stay on [record](activity.md), 1 to 36500. Left out: for ever.",
        "Events go in whole batches; their signed heads stay, so that what remains can still be"
        " [verified](../how-to/verify-the-record.md).",
        key="retention_days",
        example="400",
    )
    heads_file: Path | None = setting(
        read_absolute_path,
        "A file that each signed head is appended to as a line: kept elsewhere, heads show what was cut off or"
        " rewritten here.",
        "Put it where this machine can append and not rewrite. Its directory must be there at the start.",
        example='"/mnt/worm/jitgate-heads.jsonl"',
    )
    heads_webhook: str | None = setting(
        read_https,
        "A URL that each signed head is posted to, as JSON. `https`, or `http` to this very machine.",
        "Any answer of 2xx counts as taken; otherwise it is offered again.",
        example='"https://example.org/jitgate-heads"',
    )
    heads_syslog: SyslogAddress | None = setting(
        read_syslog,
        'A syslog server that is told of each signed head (RFC 5424): `"tcp://HOST:PORT"` or `"udp://HOST:PORT"`.',
        example='"tcp://192.0.2.10:601"',
    )


@dataclass(frozen=True, slots=True)
class Store:
    """`url`: None for the SQLite file in the data directory."""

    url: str | None = setting(
        read_text,
        "Where the records are. Left out: the SQLite file `jitgate.db` in the data directory.",
        "`sqlite:////path/to/file` puts it elsewhere; `postgresql://USER@HOST/NAME` uses PostgreSQL, which needs the"
        " extra `postgres` (`psycopg`); the environment's `JITGATE_DATABASE` goes before it."
        " [Several replicas](../how-to/run-several-replicas.md) share one.",
        example='"postgresql://jitgate@db.example.org/jitgate"',
    )


@dataclass(frozen=True, slots=True)
class Log:
    """How the log is written."""

    format: str = setting(
        choice("auto", "logfmt", "json"),
        'How it writes its [log](../how-to/read-the-log.md), to standard error: `"logfmt"` (`key=value`),'
        ' `"json"`, or `"auto"`: for people on a terminal, else logfmt.',
        "Agents and gateways beside the server write the same; those elsewhere have `JITGATE_LOG_FORMAT`.",
        default='"auto"',
    )


@dataclass(frozen=True, slots=True)
class Tracing:
    """`endpoint`: None where nobody traces."""

    endpoint: str | None = setting(
        read_https,
        "Where spans are sent, by OTLP over HTTP ([how to](../how-to/trace-requests.md)). Takes the extra"
        " `jitgate[otel]`. Left out: nowhere, and nothing of OpenTelemetry's is loaded.",
        "`https`, or `http` to this very machine.",
        example='"https://collector.example.org:4318/v1/traces"',
    )


@dataclass(frozen=True, slots=True)
class Metrics:
    """`token_file`: None where nobody may read the metrics."""

    token_file: Path | None = setting(
        read_absolute_path,
        "The file with the tokens of whoever may read [`/metrics`](metrics.md): one on each line, of 32 characters or"
        " more. Left out: nobody may.",
        "It is read at each call, so a token is [replaced](../how-to/monitor.md#replace-the-token) without a restart.",
        example='"/etc/jitgate/metrics.token"',
    )


@dataclass(frozen=True, slots=True)
class SignIn:
    """How long people stay signed in: `session` in all, `idle` without doing anything, `command_line` after a login."""

    session: timedelta = setting(
        so_many(_HOUR, 1, 24 * 30),
        "After so many hours a person signs in again, whatever they do: 1 to 720.",
        key="session_hours",
        default="12",
    )
    idle: timedelta = setting(
        so_many(_MINUTE, 5, 24 * 60),
        "A session ends after so many minutes without a call: 5 to 1440.",
        key="idle_minutes",
        default="60",
    )
    command_line: timedelta = setting(
        so_many(_HOUR, 1, 24 * 30),
        "For how many hours the token of `jitgate login` is good: 1 to 720.",
        key="command_line_hours",
        default="12",
    )


@dataclass(frozen=True, slots=True)
class Issuer:
    """Somebody whose signed tokens are believed: an OpenID Connect provider.

    `audience`     None: tokens of programs are not taken
    `client_id`    None: people do not sign in there
    `client_secret_file`, `ca_file`  None: none
    """

    name: str = required(read_name, "What people see on the sign-in page. Each once.", example='"keycloak"')
    url: str = required(
        read_issuer,
        "The issuer, to the letter as its tokens say it in `iss`. Its keys and doors are looked up below it.",
        example='"https://keycloak.example/realms/ops"',
    )
    audience: str | None = setting(
        read_text,
        "Programs send tokens for this audience as bearer tokens. Left out: tokens of programs are not taken.",
        example='"jitgate-api"',
    )
    client_id: str | None = setting(
        read_text,
        "People sign in there; jitgate is this client. Left out: they do not.",
        example='"jitgate"',
    )
    client_secret_file: str | None = setting(
        read_text,
        "The file that holds the client's secret, if it has one.",
        example='"/etc/jitgate/keycloak.secret"',
    )
    scopes: str = setting(read_text, "What is asked for when people sign in.", default='"openid profile email"')
    name_claim: str = setting(
        read_text,
        "The claim with the name that people see. Identity is issuer and subject, never the name.",
        default='"preferred_username"',
    )
    groups_claim: str = setting(read_text, "The claim with the groups.", default='"groups"')
    leeway: timedelta = setting(
        so_many(_SECOND, 0, 300), "By how many seconds clocks may differ: 0 to 300.", default="60"
    )
    ca_file: str | None = setting(
        read_text,
        "The authority of the issuer's certificate, where that is not one of the system's.",
        example='"/etc/jitgate/keycloak-ca.pem"',
    )

    def check(self, name: Name) -> None:
        """A token of two audiences would be for nobody in particular. Raises Invalid."""
        if self.audience is None and self.client_id is None:
            raise Invalid(name("audience"), "nobody could sign in by it", allowed="audience, client_id, or both")
        if self.audience == self.client_id:
            message = "an id token, which any web page of the client gets, would count as an access token"
            raise Invalid(name("audience"), message, allowed="another audience than client_id")


@dataclass(frozen=True, slots=True)
class Notify:
    """A receiver of notifications. Either `url` and `secret_file` (a signed webhook), or `apprise_file`."""

    name: str = required(
        read_name,
        "What it is called, each name once.",
        "Its place in the record is kept under that name: a new name begins with what happens from then on.",
        example='"on-call"',
    )
    url: str | None = setting(
        read_https,
        "Where to post: `https://…`; plain `http` to loopback only. Goes with `secret_file`.",
        example='"https://example.org/hooks/jitgate"',
    )
    secret_file: Path | None = setting(
        read_absolute_path,
        "The file with the secret that signs: `whsec_` and 24 to 64 bytes in base64.",
        example='"/etc/jitgate/on-call.secret"',
    )
    apprise_file: Path | None = setting(
        read_absolute_path,
        "In place of the two: a file of Apprise's addresses, one a line. Takes the extra `jitgate[notify]`.",
        example='"/etc/jitgate/team.apprise"',
    )
    events: frozenset[Topic] = setting(
        read_topics,
        "Which [topics](../how-to/notifications.md). Left out: all.",
        example='["approval.needed", "breakGlass"]',
        absent=frozenset(Topic),
    )

    def check(self, name: Name) -> None:
        """There is one way to tell. Raises Invalid."""
        if (self.url is None) == (self.apprise_file is None) or (self.url is None) != (self.secret_file is None):
            allowed = "url and secret_file, or apprise_file"
            raise Invalid(name("url"), "where to tell is not said, or twice", allowed=allowed)


@dataclass(frozen=True, slots=True)
class Host:
    """A Linux machine, or a network namespace, whose firewall the local agent holds.

    `namespace`     None: the machine that jitgate runs on
    `always_allow`  sources that no protection ever shuts out
    `addresses`     told to people as where to connect; empty: what the agent finds
    """

    name: str = required(
        read_name,
        "The machine's name in jitgate. Each name once, in any letter case.",
        "A host that is renamed is a new machine, and the old one's grants end.",
        example='"web-1"',
    )
    namespace: str | None = setting(
        read_namespace,
        "A network namespace of this machine, as `ip netns list` shows it. Left out: the machine itself.",
        "Each place once.",
        example='"web-1"',
    )
    always_allow: tuple[Prefix, ...] = setting(
        read_prefixes,
        "Sources that reach every port whatever is protected.",
        "They are in the boot ruleset too.",
        default="[]",
    )
    addresses: tuple[str, ...] = setting(
        read_addresses,
        "Where people are told to connect. Empty: the addresses that the machine has.",
        default="[]",
    )
    tags: Mapping[str, str] = setting(
        read_tags, 'Names and values that guardrails can select by: `{ team = "web" }`.', default="{}"
    )
