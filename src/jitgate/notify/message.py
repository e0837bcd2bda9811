"""A line of the record as a notification."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jitgate.core.topics import Topic, topic
from jitgate.store.activity import Entry
from jitgate.trust import links

MOST_NAMED = 50


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. `id` is the same each time that it is sent; `body` is JSON, `title` and `text` are for people."""

    id: str
    topic: Topic
    body: bytes
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where people reach this server ("": not known), and the keys of approvers' links, the one that
    signs first (none: there are no links)."""

    url: str = ""
    link_keys: Callable[[], Sequence[bytes]] = tuple


def compose(entry: Entry, address: Address) -> Message | None:
    """The notification that a line of the record calls for; None: nobody has to hear of it."""
    about = topic(entry.operation, entry.outcome, entry.properties)
    if about is None:
        return None
    approvers = _approvers(entry.properties, address)
    told = {name: value for name, value in entry.properties.items() if name != "approvers"}
    body = {
        "type": str(about),
        "timestamp": entry.at.isoformat().replace("+00:00", "Z"),
        "data": {
            "sequence": entry.sequence,
            "operation": entry.operation,
            "outcome": entry.outcome,
            "caller": entry.caller,
            "resource": entry.resource,
            "correlation": entry.correlation,
            "properties": told,
            "approvers": approvers,
        },
    }
    # Not the sequence alone: a database that was restored gives it a second time.
    name = f"msg_{entry.sequence}_{round(entry.at.timestamp() * 1e6)}"
    return Message(name, about, json.dumps(body).encode(), _title(about, entry), _text(entry, told, approvers))


def _approvers(properties: Mapping[str, Any], address: Address) -> list[dict[str, str]]:
    """Who is asked, each with a link of their own. It is good once, and only for who signs in as them."""
    request, keys = properties.get("request", ""), address.link_keys()
    found = []
    for one in list(properties.get("approvers", ()))[:MOST_NAMED]:
        link = links.make(keys[0], request, one["principal"]) if keys else ""
        # In the fragment: it is in no server's log, and no page that is merely looked at uses it up.
        place = {"url": f"{address.url}/approve#{link}"} if link and address.url else {}
        found.append({"name": one["name"], **({"link": link} if link else {}), **place})
    return found


def _title(about: Topic, entry: Entry) -> str:
    machine = entry.resource.rpartition("/")[2] or "everything"
    who = entry.properties.get("requestor") or entry.caller
    titles = {
        Topic.APPROVAL_NEEDED: f"{who} asks for {machine}",
        Topic.REQUEST_DECIDED: f"{entry.caller}: {entry.operation.split('/')[-2]} ({machine})",
        Topic.BREAK_GLASS: f"{entry.caller} broke the glass: {machine}",
        Topic.GRANT_ENDS_SOON: f"{who}'s access to {machine} ends soon",
        Topic.FREEZE: f"{entry.caller}: {'thaw' if entry.operation.endswith('delete') else 'freeze'} of {machine}",
        Topic.GUARDRAIL: f"{entry.caller} changes guardrail {machine}",
        Topic.ALARM: f"jitgate alarm: {machine}",
    }
    if entry.operation.endswith("review/action"):
        return f"{entry.caller} reviewed a request that broke the glass: {machine}"
    return _one_line(titles[about])


def _text(entry: Entry, told: Mapping[str, Any], approvers: list[dict[str, str]]) -> str:
    simple = [f"{name}: {value}" for name, value in told.items() if isinstance(value, str | int) and value != ""]
    asked = [f"{one['name']}: {one.get('url') or 'jitgate inbox'}" for one in approvers]
    return "\n".join(map(_one_line, [f"{entry.caller}: {entry.operation} {entry.outcome}", *simple, *asked]))


def _one_line(text: str) -> str:
    """What others wrote makes no lines of its own."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:1000]
