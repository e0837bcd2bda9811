"""What one process counts of itself, as Prometheus reads it (docs/reference/metrics.md has each by its name).

Counted after the commit, where it is about something in the database: what was not kept did not happen. No label holds
what strangers choose: a route is its template, a method that HTTP does not know is "other".
"""

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

_SOON = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_AT_ONCE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})

# Else each counter would bring a second series, which says when its process has started.
disable_created_metrics()  # type: ignore[no-untyped-call]

BUILD = Info("jitgate_build", "Which jitgate this is, on which Python, and the --role that it was started with.")

OPENING = Histogram(
    "jitgate_opening_seconds",
    "From when nothing but the firewall was waited for, until the port was open.",
    buckets=_SOON,
)
CLOSE_LATENESS = Histogram(
    "jitgate_close_lateness_seconds",
    "From the end of a port's time, or the word that shut it sooner, until it was proven shut.",
    ["reason"],
    buckets=_SOON,
)
MOVES = Counter("jitgate_moves", "Grants that the reconciler moved on, by their new state.", ["state", "reason"])

PASSES = Counter("jitgate_passes", "Looks at a scope, by what came of them.", ["connector", "outcome"])
PASS_SECONDS = Histogram(
    "jitgate_pass_seconds", "From the claim of a scope until the look at it was on record.", buckets=_SOON
)
CONNECTOR_SECONDS = Histogram(
    "jitgate_connector_seconds", "How long a firewall took to plan and apply.", ["connector"], buckets=_SOON
)
LEASES = Gauge("jitgate_leases", "Scopes that this process holds the lease of.")

REQUESTS = Counter("jitgate_http_requests", "Answers, by route and status.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "jitgate_http_request_seconds",
    "How long an answer took; agents and pages that wait for news are told late on purpose.",
    ["route"],
    buckets=_AT_ONCE,
)

DATABASE_WAIT = Histogram(
    "jitgate_database_wait_seconds", "How long work waited for its turn at the database.", ["door"], buckets=_AT_ONCE
)
DATABASE_SECONDS = Histogram(
    "jitgate_database_seconds",
    "How long a turn at the database took; many writes share one, and its commit.",
    ["door"],
    buckets=_AT_ONCE,
)
DATABASE_ERRORS = Counter("jitgate_database_errors", "Work that was not done because the database failed.", ["door"])
DATABASE_RETRIES = Counter(
    "jitgate_database_retries", "Transactions that lost against another process, and were run again."
)


def known_method(method: str) -> str:
    """A method of HTTP; "other" for what a client has made up."""
    return method if method in _METHODS else "other"


def count_answer(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answer. `route`: its template, "" where none was reached."""
    REQUESTS.labels(known_method(method), route, status).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)
