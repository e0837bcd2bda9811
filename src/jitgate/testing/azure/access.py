"""Who may do what: sign-in, permissions and locks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jitgate.core.patterns import matches
from jitgate.testing.azure.messages import Json, Refusal, not_authorized, scope_locked
from jitgate.testing.azure.paths import Path

_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete", "POST": "action"}
_READ_BY_POST = ("Microsoft.ResourceGraph/resources",)
LOCKS = "microsoft.authorization/locks"

EVERYTHING: Sequence[Mapping[str, Sequence[str]]] = ({"actions": ["*"], "notActions": []},)


@dataclass(frozen=True, slots=True)
class Lock:
    """`scope` and everything below cannot be deleted, or (``ReadOnly``) not even written."""

    id: str
    scope: str
    level: str

    def holds(self, id: str) -> bool:
        scope = self.scope.lower()
        return id.lower() == scope or id.lower().startswith(f"{scope}/")

    def is_below(self, scope: str) -> bool:
        return self.scope.lower().startswith(f"{scope.lower()}/")


def sign_in(headers: Mapping[str, str]) -> None:
    """Raise Refusal without a bearer token; any will do."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        message = "Authentication failed. The 'Authorization' header is missing."
        raise Refusal(401, "AuthenticationFailed", message, headers={"www-authenticate": "Bearer"})


def check(permissions: Sequence[Mapping[str, Sequence[str]]], method: str, path: Path) -> None:
    """Raise Refusal unless the one signed in may make this call."""
    action = f"{path.full_kind}/{'read' if path.full_kind in _READ_BY_POST else _VERBS[method]}"
    for each in permissions:
        taken = each.get("notActions", ())
        if any(matches(one, action) for one in each["actions"]) and not any(matches(one, action) for one in taken):
            return
    raise not_authorized(action, path.text)


def check_locks(locks: Sequence[Lock], method: str, id: str) -> None:
    """Raise Refusal where a lock forbids it: CanNotDelete blocks DELETE and lets PUT pass."""
    for lock in locks:
        if lock.holds(id) and (method == "DELETE" or (method == "PUT" and lock.level == "ReadOnly")):
            raise scope_locked(id, lock.scope, "delete" if method == "DELETE" else "write")


def lock_body(lock: Lock) -> Json:
    return {
        "id": lock.id,
        "name": lock.id.rpartition("/")[2],
        "type": "Microsoft.Authorization/locks",
        "properties": {"level": lock.level},
    }
