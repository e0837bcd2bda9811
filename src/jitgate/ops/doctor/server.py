"""What the running server tells: connectors, rules of others, agents."""

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from jitgate.ops.directory import DataDirectory
from jitgate.ops.doctor.finding import Finding, fine, mend, unseen

_SECONDS = 15.0
_PAGE = 500
Told = Sequence[Mapping[str, Any]]


def look(directory: DataDirectory) -> Iterator[Finding]:
    """All of it, asked for in the owner's name."""
    try:
        with _client(directory) as client:
            told = _get(client, "connectors"), _machines(client), _get(client, "hosts")
    except (OSError, ValueError, KeyError, TypeError, httpx.HTTPError) as error:
        what = f"it cannot be asked: {str(error) or type(error).__name__}"
        yield unseen("server", what, "Start `jitgate serve`; connectors, rules and agents were not looked at.")
        return
    yield fine("server", "it answers")
    yield from connectors(told[0])
    yield from outranking(told[1])
    yield from silent(told[1], told[2])


def connectors(told: Told) -> Iterator[Finding]:
    """Whether each can list its machines, and had every right when it was last tested."""
    for each in told:
        if not each["removedTimeUtc"]:
            yield _connector(f"connector {each['name']}", each)


def _connector(check: str, told: Mapping[str, Any]) -> Finding:
    again = f"then run `jitgate connector test {told['name']}`."
    if told["missingPermissions"]:
        return mend(check, f"it lacks {', '.join(told['missingPermissions'])}", f"Give it these rights; {again}")
    if told["error"] or told["testError"]:
        return mend(check, told["error"] or told["testError"], f"Mend what it names; {again}")
    if not told["testedTimeUtc"]:
        return mend(check, "its rights were never tested", f"Run `jitgate connector test {told['name']}`.")
    return fine(check, f"had every right on {told['testedTimeUtc'][:10]}")


def outranking(machines: Told) -> Iterator[Finding]:
    """Rules of others that bypass or block ours."""
    found = [(each["name"], rule) for each in machines for rule in each["outranked"]]
    for name, rule in found:
        yield mend(f"rules of {name}", f"outranked by {rule}", f"Remove or narrow it: `jitgate machine show {name}`.")
    if not found:
        yield fine("rules", f"none outranks ours on {len(machines)} machines")


def silent(machines: Told, hosts: Told) -> Iterator[Finding]:
    """Agents and gateways that have not been heard for a minute."""
    joined = [each for each in hosts if each["state"] == "joined"]
    names = sorted({each["name"] for each in (*machines, *joined) if not each["verified"]})
    for name in names:
        yield mend(f"agent of {name}", "not heard of for a minute", "See there that its agent runs, and its log.")
    if not names:
        yield fine("agents", "all are heard")


def _client(directory: DataDirectory) -> httpx.Client:
    url = json.loads(directory.server.read_text("utf-8"))["url"]
    token = (directory.path / "owner.token").read_text("ascii").strip()
    trusted = ssl.create_default_context(cafile=str(directory.path / "ca.pem"))
    # No proxy of the environment: the server is on this machine.
    return httpx.Client(
        base_url=f"{url}/api/v1/",
        headers={"Authorization": f"Bearer {token}"},
        verify=trusted,
        timeout=_SECONDS,
        trust_env=False,
    )


def _get(client: httpx.Client, path: str, **query: str | int) -> Any:
    answer = client.get(path, params=query)
    answer.raise_for_status()
    return answer.json()


def _machines(client: httpx.Client) -> Told:
    page = _get(client, "machines", limit=_PAGE)
    found = list(page["items"])
    while page["after"]:
        page = _get(client, "machines", limit=_PAGE, after=page["after"])
        found += page["items"]
    return found
