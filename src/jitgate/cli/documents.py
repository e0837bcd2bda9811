"""Policies as files: reading them, writing them, and what a change would change."""

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jitgate.cli.exits import Usage
from jitgate.cli.server import Json

STDIN = "-"
LARGEST = 4 << 20
_LISTS = ("machines", "select")
_EXAMPLE = "policies: [{name: default, machines: [{id: web-1, ports: [{number: 22, maxDuration: PT3H}]}]}]"


@dataclass(frozen=True, slots=True)
class Change:
    """What a policy shall say, and how that differs from what it says: no `lines`, no difference."""

    policy: str
    body: Json
    lines: list[str]
    lost_machines: list[str]

    def as_json(self) -> Json:
        """The change for programs."""
        return {"policy": self.policy, "difference": self.lines, "lostMachines": self.lost_machines}


def read(file: str) -> list[tuple[str, Json]]:
    """The policies in a file, each with its id or name. Raises Usage."""
    try:
        document = yaml.safe_load(text(file))
    except yaml.YAMLError as error:
        raise Usage(f"{file} is not YAML: {error}. Write it as YAML.") from None
    policies = document.get("policies") if isinstance(document, dict) else None
    if not isinstance(policies, list) or not policies:
        raise Usage(f"{file} has no list of policies. It looks like this:\n{_EXAMPLE}")
    found = [_policy(policy, f"policies[{index}]", file) for index, policy in enumerate(policies)]
    names = [name.casefold() for name, _ in found]
    if len(set(names)) < len(names):
        raise Usage(f"{file} has a policy twice; the second would replace the first. Put its machines into one.")
    return found


def write(policies: list[Json]) -> str:
    """Policies as a file that `policy apply` takes."""
    kept = [{"id": policy["id"], **body(policy)} for policy in policies]
    return yaml.safe_dump({"policies": kept}, sort_keys=False, allow_unicode=False, width=1000)


def compare(before: Json | None, after: Json) -> Change:
    """What a change would change. `before`: None where there is no such policy."""
    name = after["name"]
    lines = difflib.unified_diff(_lines(before), _lines(after), f"{name} (now)", f"{name} (then)", lineterm="")
    kept = {each.casefold() for each in ids(after)}
    lost = [each for each in ids(before or {}) if each.casefold() not in kept]
    return Change(after["id"], body(after), list(lines), lost)


def _policy(policy: Any, field: str, file: str) -> tuple[str, Json]:
    given = [name for name in _LISTS if name in policy] if isinstance(policy, dict) else []
    if not given or not all(isinstance(policy[name], list) for name in given):
        raise Usage(f"{file}: {field} has no machines, and selects none. A policy looks like this:\n{_EXAMPLE}")
    if len({"id", "name"} & set(policy)) != 1:
        raise Usage(f"{file}: {field} needs an id, or a name where machines outside the clouds are filed; not both.")
    unknown = set(policy) - {"id", "name", *_LISTS}
    if unknown:
        raise Usage(
            f"{file}: {field} holds {', '.join(sorted(map(str, unknown)))}, which means nothing there. Take it out."
        )
    return str(policy.get("id") or policy.get("name")), {"machines": [], **{name: policy[name] for name in given}}


def text(file: str) -> str:
    """What a file holds, or standard input. Raises Usage."""
    try:
        found = sys.stdin.read(LARGEST + 1) if file == STDIN else _read(Path(file))
    except OSError as error:
        raise Usage(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Usage(f"{file} is not UTF-8. Write it as UTF-8.") from None
    if len(found) > LARGEST:
        raise Usage(f"{file} is larger than {LARGEST >> 20} MiB. Make several files of it.")
    return found


def _read(file: Path) -> str:
    with file.open(encoding="utf-8") as opened:
        return opened.read(LARGEST + 1)


def _lines(policy: Json | None) -> list[str]:
    if policy is None:
        return []
    return yaml.safe_dump(body(policy), sort_keys=False, width=1000).splitlines()


def body(policy: Json) -> dict[str, Any]:
    """What a policy says, without what the server knows about it and without what says nothing."""
    said = {name: [_without_nothing(each) for each in policy.get(name, ())] for name in _LISTS}
    return {name: said[name] for name in _LISTS if said[name] or name == "machines"}


def ids(policy: Json) -> list[str]:
    """The machines of a policy: those it names, and those it has taken in."""
    return [*(machine["id"] for machine in policy.get("machines", ())), *policy.get("selected", ())]


def _without_nothing(machine: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in machine.items() if value is not None}
