"""The record's vocabulary in the words of a timeline: what somebody did, after their name."""

import re
from collections.abc import Mapping

from jitgate.audit import Operation
from jitgate.store.activity import Entry

_NAMES = ("connector", "member", "label", "name")
_OPAQUE = re.compile(r"[0-9a-f-]{32,36}")

WORDS: Mapping[Operation, tuple[str, str]] = {
    Operation.POLICY_WRITE: ("shield", "wrote a policy"),
    Operation.POLICY_DELETE: ("shield", "removed a policy"),
    Operation.REQUEST: ("key", "asked for access"),
    Operation.BREAK_GLASS: ("flame", "broke the glass"),
    Operation.REVIEW: ("check", "reviewed an emergency"),
    Operation.APPROVE: ("check", "approved a request"),
    Operation.DENY: ("x", "denied a request"),
    Operation.WITHDRAW: ("x", "withdrew a request"),
    Operation.APPROVAL_ESCALATED: ("hourglass", "asked others to approve: nobody had answered"),
    Operation.REQUEST_CLOSE: ("lock", "closed a port early"),
    Operation.REQUEST_EXTEND: ("clock", "extended access"),
    Operation.REQUEST_SHORTEN: ("clock", "shortened access"),
    Operation.REQUEST_MOVE: ("network", "moved access to another source"),
    Operation.GRANT_OPENING: ("turning", "is opening a port"),
    Operation.GRANT_OPEN: ("unlock", "opened a port"),
    Operation.GRANT_CLOSING: ("turning", "is shutting a port"),
    Operation.GRANT_CLOSED: ("lock", "proved a port shut"),
    Operation.GRANT_ENDS_SOON: ("bell", "reminded of an end that is near"),
    Operation.FREEZE: ("snow", "froze access"),
    Operation.THAW: ("sun", "thawed access"),
    Operation.GUARDRAIL_WRITE: ("shield", "set a guardrail"),
    Operation.GUARDRAIL_PROPOSE: ("shield", "proposed to loosen a guardrail"),
    Operation.GUARDRAIL_DELETE: ("shield", "removed a guardrail"),
    Operation.NETWORK_WRITE: ("network", "named a network"),
    Operation.NETWORK_DELETE: ("network", "forgot a network's name"),
    Operation.FIREWALL_APPLY: ("server", "changed a firewall"),
    Operation.FIREWALL_REPAIR: ("refresh", "repaired a firewall"),
    Operation.FIREWALL_LATE: ("alert", "is late to shut a port"),
    Operation.FIREWALL_RELEASE: ("server", "let go of a firewall"),
    Operation.FIREWALL_PROTECT: ("shield-check", "began to protect ports"),
    Operation.ALTERATION_PROPOSED: ("alert", "would alter rules of others, and waits for consent"),
    Operation.ALTERATION_AGREE: ("check", "agreed to an alteration of others' rules"),
    Operation.ALTERATION_DONE: ("edit", "altered rules of others"),
    Operation.ALTERATION_RESTORE: ("refresh", "restored rules of others"),
    Operation.FIREWALL_GENERATION: ("server", "went on from a firewall's own generation"),
    Operation.HOST_TOKEN: ("plus", "made a join token"),
    Operation.HOST_JOIN: ("hosts", "joined as a host"),
    Operation.HOST_APPROVE: ("check", "let a host in"),
    Operation.HOST_CONFIRM: ("check", "confirmed a host's addresses"),
    Operation.HOST_MACHINES_REFUSED: ("alert", "refused machines that a host named"),
    Operation.HOST_REMOVE: ("trash", "removed a host"),
    Operation.HOST_ADDRESSES: ("network", "reported other addresses of a host"),
    Operation.HOST_SILENT: ("offline", "lost touch with a host"),
    Operation.HOST_HEARD: ("hosts", "heard from a host again"),
    Operation.HOST_DOUBLED: ("alert", "met two hosts with one key"),
    Operation.MACHINE_FOUND: ("server", "found a machine"),
    Operation.MACHINE_REMOVED: ("server", "saw a machine go"),
    Operation.POLICY_SELECT: ("shield", "took machines into a policy"),
    Operation.CONNECTOR_WRITE: ("cloud", "set a connector"),
    Operation.CONNECTOR_TEST: ("cloud", "asked for a test of a connector"),
    Operation.CONNECTOR_DELETE: ("cloud", "removed a connector"),
    Operation.CONNECTOR_RELEASED: ("cloud", "let go of a connector's firewalls"),
    Operation.CONNECTOR_FAILED: ("alert", "cannot list a connector's machines"),
    Operation.CONNECTOR_RECOVERED: ("cloud", "can list a connector's machines again"),
    Operation.ACTIVITY_EXPORT: ("download", "exported the record"),
    Operation.ACTIVITY_EXPIRE: ("log", "let old entries go, as retention demands"),
    Operation.RESTORE: ("refresh", "went back to the records of a backup"),
    Operation.PLAN_WRITE: ("tag", "set a plan"),
    Operation.PLAN_DELETE: ("tag", "took a plan away"),
    Operation.JIT_DISABLE: ("shield", "switched just-in-time access off"),
    Operation.JIT_ENABLE: ("shield-check", "switched just-in-time access on"),
    Operation.PRINCIPAL_CREATE: ("user", "added somebody"),
    Operation.PRINCIPAL_DISABLE: ("user", "disabled somebody"),
    Operation.PRINCIPAL_ENABLE: ("user", "enabled somebody again"),
    Operation.GROUP_WRITE: ("users", "made a group"),
    Operation.GROUP_DELETE: ("users", "removed a group"),
    Operation.GROUP_JOIN: ("users", "put somebody into a group"),
    Operation.GROUP_LEAVE: ("users", "took somebody out of a group"),
    Operation.ROLE_WRITE: ("key", "defined a role"),
    Operation.ROLE_DELETE: ("key", "removed a role"),
    Operation.ROLE_ASSIGN: ("key", "gave a role"),
    Operation.ROLE_UNASSIGN: ("key", "took a role away"),
    Operation.CREDENTIAL_CREATE: ("key", "made a token"),
    Operation.CREDENTIAL_REVOKE: ("key", "revoked a token"),
    Operation.NOTIFY_REFUSED: ("bell", "could not notify somebody"),
    Operation.SIGN_IN: ("user", "signed in"),
    Operation.SIGN_OUT: ("exit", "signed out"),
    Operation.SIGN_IN_REFUSED: ("alert", "was not let in"),
    Operation.OWNER_TOKEN_USED: ("alert", "used the owner's token"),
}
"""An icon and some words for what has them; the rest is told by its name."""

OUTCOMES: Mapping[str, tuple[str, str, str]] = {
    "Started": ("accent", "turning", "Begun"),
    "Accepted": ("info", "hourglass", "Accepted"),
    "Succeeded": ("good", "check", "Done"),
    "Failed": ("bad", "alert", "Failed"),
    "Refused": ("warn", "x", "Refused"),
}
"""By outcome its tone, icon and word."""


def words(operation: str) -> tuple[str, str]:
    """The icon and the words of an operation; what has none is shown as it is called."""
    try:
        known = WORDS.get(Operation(operation))
    except ValueError:
        known = None
    return known or ("info", operation.partition("/")[2].removesuffix("/action").replace("/", " "))


def subject(entry: Entry) -> str:
    """What an entry is about, in few letters: a name where it is told, else the end of the resource's id."""
    told = entry.properties
    role, holder = told.get("role"), told.get("holder")
    if isinstance(role, str) and isinstance(holder, str):
        return f"{role} for {holder}"
    named = (role.get("name") if isinstance(role, dict) else None, *map(told.get, _NAMES))
    name = next((each for each in named if isinstance(each, str)), "")
    tail = entry.resource.rpartition("/")[2]
    return name or (tail[:8] if _OPAQUE.fullmatch(tail) else tail)


def choices() -> list[tuple[str, str]]:
    """Every operation with its words, in their order, to choose from."""
    return sorted(((str(one), words(one)[1]) for one in Operation), key=lambda choice: choice[1])
