"""Custom roles as files."""

import difflib
from typing import Any

import yaml

from jitgate.cli import documents
from jitgate.cli.exits import Usage
from jitgate.cli.server import Json

_EXAMPLE = "roles: [{name: On call, actions: ['Microsoft.Security/*/read'], assignableScopes: [/]}]"
_FIELDS = ("description", "actions", "notActions", "assignableScopes")


def read(file: str) -> list[tuple[str, Json]]:
    """The roles in a file, each with its name. Raises Usage."""
    try:
        document = yaml.safe_load(documents.text(file))
    except yaml.YAMLError as error:
        raise Usage(f"{file} is not YAML: {error}. Write it as YAML.") from None
    roles = document.get("roles") if isinstance(document, dict) else None
    if not isinstance(roles, list) or not roles:
        raise Usage(f"{file} has no list of roles. It looks like this:\n{_EXAMPLE}")
    found = [_role(role, f"{file}: roles[{index}]") for index, role in enumerate(roles)]
    names = [name.casefold() for name, _ in found]
    if len(set(names)) < len(names):
        raise Usage(f"{file} has a role twice. Make one of the two.")
    return found


def write(roles: list[Json]) -> str:
    """Roles as a file that `role apply` takes."""
    kept = [{"name": role["name"], **body(role)} for role in roles]
    return yaml.safe_dump({"roles": kept}, sort_keys=False, allow_unicode=False, width=1000)


def difference(name: str, before: Json | None, after: Json) -> list[str]:
    """What a change would change, line by line; nothing, if nothing."""
    lines = difflib.unified_diff(_lines(before), _lines(after), f"{name} (now)", f"{name} (then)", lineterm="")
    return list(lines)


def body(role: Json) -> dict[str, Any]:
    """What a role says, without what the server knows about it and without what says nothing."""
    return {field: role[field] for field in _FIELDS if role.get(field)}


def _role(role: Any, field: str) -> tuple[str, Json]:
    if not isinstance(role, dict) or not isinstance(role.get("name"), str):
        raise Usage(f"{field} has no name. A role looks like this:\n{_EXAMPLE}")
    unknown = set(role) - {"name", *_FIELDS}
    if unknown:
        raise Usage(
            f"{field} holds {', '.join(sorted(map(str, unknown)))}, which means nothing in a role. Take it out."
        )
    return role["name"], {name: value for name, value in role.items() if name != "name"}


def _lines(role: Json | None) -> list[str]:
    return [] if role is None else yaml.safe_dump(body(role), sort_keys=False, width=1000).splitlines()
