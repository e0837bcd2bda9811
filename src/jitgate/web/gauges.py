"""How this process and the whole installation stand, as Prometheus's gauges.

What is of the whole installation is the same at every replica, and so named `jitgate_installation_…`: it must not be
added up over replicas.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily

from jitgate.store.measures import Measures

_OF_ALL = "jitgate_installation"
_AGED = ("pending", "opening", "closing")
"""States that nobody should be in for long."""

Samples = Mapping[tuple[str, ...], float]


def of_process(reached: bool, ends: Mapping[str, datetime], backup: datetime | None) -> Iterator[GaugeMetricFamily]:
    """`reached`: whether the database answers; `ends`: of certificates, by whose they are."""
    yield _one("jitgate_database_reached", "1: the database answers this process; 0: it does not.", float(reached))
    yield _gauge(
        "jitgate_certificate_end_timestamp_seconds",
        "When a certificate ends: the server's own, and the authority's that vouches for it.",
        ["certificate"],
        {(name,): end.timestamp() for name, end in ends.items()},
    )
    yield _one(
        "jitgate_backup_timestamp_seconds",
        "When `jitgate backup` last made one of this data directory; not there where it never did.",
        backup.timestamp() if backup else None,
    )


def of_installation(found: Measures) -> Iterator[GaugeMetricFamily]:
    """What the database says."""
    yield from _access(found)
    yield from _firewalls(found)
    yield from _fleet(found)
    yield from _record(found)


def _access(found: Measures) -> Iterator[GaugeMetricFamily]:
    yield _gauge(f"{_OF_ALL}_grants", "Grants that are not over, by state.", ["state"], _by(found.grants))
    yield _gauge(
        f"{_OF_ALL}_grant_age_seconds",
        "How long the grant that has waited the longest has been pending, opening or closing.",
        ["state"],
        {(state,): _age(found, found.oldest.get(state)) for state in _AGED},
    )
    yield _one(f"{_OF_ALL}_requests_pending", "Requests that wait for approval.", float(found.requests))


def _firewalls(found: Measures) -> Iterator[GaugeMetricFamily]:
    yield _one(
        f"{_OF_ALL}_queue_age_seconds",
        "How long the scope that has waited the longest has been due to be looked at.",
        _age(found, found.due),
    )
    yield _gauge(
        f"{_OF_ALL}_scopes_failing",
        "Scopes whose firewall did not do what it was asked.",
        ["connector"],
        _by(found.failing),
    )
    yield _gauge(
        f"{_OF_ALL}_connector_lists",
        "1: the machines of a cloud could be listed when that was last tried; 0: they could not.",
        ["connector"],
        _by(found.connectors),
    )


def _fleet(found: Measures) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        f"{_OF_ALL}_agents",
        "Agents and gateways: heard, silent for a minute, or waiting to be let in.",
        ["kind", "state"],
        {kind_state: float(number) for kind_state, number in found.hosts.items()},
    )
    yield _gauge(
        f"{_OF_ALL}_machines",
        "Machines, by how they stand with just-in-time access.",
        ["standing"],
        _by(found.machines),
    )
    yield _gauge(f"{_OF_ALL}_replicas", "Replicas that live, by their --role.", ["role"], _by(found.replicas))


def _record(found: Measures) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        f"{_OF_ALL}_outbox_age_seconds",
        "How old the oldest event is that a receiver of notifications was not told of.",
        ["receiver"],
        {(name,): _age(found, since) for name, since in found.untold.items()},
    )
    yield _gauge(
        f"{_OF_ALL}_heads_unsent_age_seconds",
        "How old the oldest head of the record is that was not sent off-box.",
        ["outlet"],
        {(name,): _age(found, since) for name, since in found.unsent.items()},
    )
    yield _one(
        f"{_OF_ALL}_unsealed_age_seconds",
        "How old the oldest event is that is not sealed.",
        _age(found, found.unsealed),
    )
    yield _one(
        f"{_OF_ALL}_sealed_head_timestamp_seconds",
        "When events were last sealed; nothing is sealed while nothing happens.",
        found.head.timestamp() if found.head else None,
    )


def _age(found: Measures, since: datetime | None) -> float:
    return max(0.0, (found.at - since).total_seconds()) if since else 0.0


def _by(numbers: Mapping[str, float]) -> Samples:
    return {(name,): float(number) for name, number in numbers.items()}


def _one(name: str, what: str, value: float | None) -> GaugeMetricFamily:
    return _gauge(name, what, [], {} if value is None else {(): value})


def _gauge(name: str, what: str, labels: Sequence[str], samples: Samples) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=labels)
    for values, value in samples.items():
        family.add_metric(values, value)
    return family
