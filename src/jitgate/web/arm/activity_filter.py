"""The filters of the Activity Log API, in both dialects.

Published: times in quotes and with a zone. The az command line: times without quotes and without a zone, which are UTC,
and ``resourceId`` for ``resourceUri``.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from jitgate.audit import Outcome
from jitgate.core.errors import Invalid
from jitgate.core.resource_id import check_resource_group, covers
from jitgate.service.activity import Selection, later

NAME = "$filter"
ALLOWED = (
    "eventTimestamp ge 'TIME' [and eventTimestamp le 'TIME'] [and resourceGroupName, resourceUri, resourceId, "
    "resourceProvider, correlationId, caller or status eq 'VALUE']"
)
_LONGEST = 4096
_CLAUSE = re.compile(
    r"\s*(?P<name>\w+)\s+(?P<operator>ge|le|eq)\s+(?:'(?P<quoted>(?:[^']|'')*)'|(?P<bare>[^\s']+))\s*", re.I
)
_AND = re.compile(r"and\s", re.IGNORECASE)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.IGNORECASE)
_STATUS: Mapping[str, tuple[str, ...]] = {
    "started": (Outcome.STARTED,),
    "accepted": (Outcome.ACCEPTED,),
    "succeeded": (Outcome.SUCCEEDED,),
    "failed": (Outcome.FAILED, Outcome.REFUSED),
}


def parse(text: str, subscription: str) -> Selection:
    """What a filter selects of a subscription's record. Raises Invalid."""
    found = _clauses(text)
    since = found.pop(("eventtimestamp", "ge"), None)
    if since is None:
        raise _invalid("the filter needs a start time")
    until = found.pop(("eventtimestamp", "le"), None)
    wanted = {name: value for (name, operator), value in found.items() if operator == "eq"}
    if len(wanted) < len(found) or wanted.keys() - _NAMES:
        raise _invalid("the filter asks for something that cannot be asked for")
    return Selection(
        since=_time(since),
        # What is on record is exact to a microsecond, and the end belongs to what is asked for.
        until=None if until is None else later(_time(until), timedelta(microseconds=1)),
        resource=_resource(wanted, subscription),
        person=wanted.get("caller"),
        outcomes=_outcomes(wanted.get("status")),
        correlation=wanted.get("correlationid"),
        provider=wanted.get("resourceprovider"),
    )


# PowerShell sends eventChannels; all that is here is of both channels that it names.
_NAMES = frozenset(
    ("resourcegroupname", "resourceuri", "resourceid", "resourceprovider", "correlationid", "caller", "status")
) | {"eventchannels"}


def _clauses(text: str) -> dict[tuple[str, str], str]:
    """Each comparison by its name and operator, in small letters."""
    found: dict[tuple[str, str], str] = {}
    if len(text) > _LONGEST:
        raise _invalid("the filter is too long")
    at = 0
    while True:
        clause = _CLAUSE.match(text, at)
        if clause is None:
            raise _invalid("the filter cannot be read" if text.strip() else "the query parameter is missing")
        key = (clause["name"].lower(), clause["operator"].lower())
        if key in found:
            raise _invalid(f"{clause['name'][:40]} is compared twice")
        quoted = clause["quoted"]
        found[key] = clause["bare"] if quoted is None else quoted.replace("''", "'")
        at = clause.end()
        if at == len(text):
            return found
        joined = _AND.match(text, at)
        if joined is None:
            raise _invalid("comparisons are joined by 'and'")
        at = joined.end()


def _time(text: str) -> datetime:
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        moment, fraction, zone = found.groups()
        # Seven digits are common in Azure; beyond microseconds nothing is kept.
        micro = int(((fraction or "0") + "000000")[:6])
        whole = datetime.fromisoformat(moment + ("+00:00" if zone in (None, "Z", "z") else zone))
        return whole.astimezone(UTC).replace(microsecond=micro)
    except (ValueError, OverflowError):
        raise _invalid(f"{text[:60]!r} is not a time") from None


def _resource(wanted: Mapping[str, str], subscription: str) -> str:
    """The scope path that is asked about, within the subscription."""
    scope = f"/subscriptions/{subscription}"
    group, one = wanted.get("resourcegroupname"), wanted.get("resourceuri") or wanted.get("resourceid")
    if group is not None:
        scope += f"/resourceGroups/{check_resource_group(group)}"
    if one is None:
        return scope
    if not covers(scope, one):
        raise _invalid(f"{one[:200]!r} is not below {scope}")
    return one


def _outcomes(status: str | None) -> tuple[str, ...]:
    if status is None:
        return ()
    found = _STATUS.get(status.lower())
    if found is None:
        raise _invalid(f"{status[:40]!r} is not a status")
    return tuple(map(str, found))


def _invalid(what: str) -> Invalid:
    return Invalid(NAME, what, allowed=ALLOWED)
