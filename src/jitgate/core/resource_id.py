"""Azure resource ids: compared without case, echoed in the spelling that came in.

Azure itself answers with the same resource group in several spellings, so an id has two faces: `text`
for people and clients, `key` for every comparison and look-up.
"""

import re
from dataclasses import dataclass

from jitgate.core.errors import Invalid

POLICY_TYPE = "Microsoft.Security/locations/jitNetworkAccessPolicies"
MACHINE_TYPE = "Microsoft.Compute/virtualMachines"

LONGEST_ID = 2048
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_RESOURCE_GROUP = re.compile(r"[-\w._()]{1,90}")
_NAME = re.compile(r"[^\s/?#%&\\<>*:\x00-\x1f\x7f]{1,260}")
_MACHINE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.Compute/virtualMachines/(?P<name>[^/]+)",
    re.IGNORECASE | re.ASCII,
)
_PLACE = re.compile(r"/subscriptions/[^/]+(/resourceGroups/[^/]+)?", re.IGNORECASE | re.ASCII)


def key(text: str) -> str:
    """What ids, names and locations are compared by.

    Letters are folded one by one, and never across the border of ASCII: `str.casefold` and `str.lower` would make
    one machine of two, where a name holds "ß" (for "ss") or the Kelvin sign (for "k").
    """
    return text.lower() if text.isascii() else "".join(map(_fold, text))


@dataclass(frozen=True, slots=True)
class MachineId:
    """The id of a machine, as `text` was written."""

    text: str
    subscription: str
    resource_group: str
    name: str

    @property
    def key(self) -> str:
        return key(self.text)


@dataclass(frozen=True, slots=True)
class PolicyId:
    """Where a policy lives. Two are the same policy when their keys are equal."""

    subscription: str
    resource_group: str
    location: str
    name: str

    @property
    def text(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Security/locations/{self.location}/jitNetworkAccessPolicies/{self.name}"
        )

    @property
    def key(self) -> str:
        return key(self.text)

    @property
    def group_key(self) -> str:
        return group_scope(self.subscription, self.resource_group)


def parse_machine_id(text: object, field: str) -> MachineId:
    """Read a machine's id. Raises Invalid, naming `field`."""
    allowed = "/subscriptions/GUID/resourceGroups/GROUP/providers/Microsoft.Compute/virtualMachines/NAME"
    if not isinstance(text, str) or len(text) > LONGEST_ID:
        raise Invalid(field, "a machine id is a text of at most 2048 characters", allowed=allowed)
    found = _MACHINE.fullmatch(text.rstrip("/"))
    if found is None:
        raise Invalid(field, f"{text[:200]!r} is not the id of a machine", allowed=allowed)
    return MachineId(
        text=text.rstrip("/"),
        subscription=check_subscription(found["subscription"], field),
        resource_group=check_resource_group(found["group"], field),
        name=check_name(found["name"], field),
    )


def parse_policy_id(text: str) -> PolicyId:
    """The parts of an id that `PolicyId.text` wrote. Raises ValueError."""
    _, _, subscription, _, group, _, _, _, location, _, name = text.split("/")
    return PolicyId(subscription, group, location, name)


def machine_id(subscription: str, resource_group: str, name: str) -> str:
    """The id of a machine that lives outside Azure."""
    return (
        f"/subscriptions/{subscription}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.Compute/virtualMachines/{name}"
    )


def group_scope(subscription: str, resource_group: str) -> str:
    """The key of a resource group."""
    return key(f"/subscriptions/{subscription}/resourceGroups/{resource_group}")


def subscription_scope(subscription: str) -> str:
    """The key of a subscription."""
    return key(f"/subscriptions/{subscription}")


def is_guid(text: str) -> bool:
    """Whether a text is a GUID, with its four hyphens."""
    return _GUID.fullmatch(text) is not None


def check_subscription(text: str, field: str = "subscriptionId") -> str:
    """A subscription is a GUID. Raises Invalid."""
    if not is_guid(text):
        raise Invalid(field, f"{text[:60]!r} is not a subscription id", allowed="a GUID", code="InvalidSubscriptionId")
    return text


def check_resource_group(text: str, field: str = "resourceGroupName") -> str:
    """1 to 90 letters, digits and ``-_.()`` (published contract). Raises Invalid."""
    if not _RESOURCE_GROUP.fullmatch(text):
        raise Invalid(
            field, f"{text[:100]!r} is not a resource group", allowed="1 to 90 letters, digits, and - _ . ( )"
        )
    return text


def check_name(text: str, field: str) -> str:
    """A policy's or machine's name; no limit of 56 characters here. Raises Invalid.

    What cannot be seen is refused: with it, two names could look like one, or read backwards.
    """
    if not _NAME.fullmatch(text) or not text.isprintable():
        raise Invalid(
            field,
            f"{text[:100]!r} is not a name",
            allowed="1 to 260 visible characters, no spaces, none of / ? # % & \\ < > * :",
        )
    return text


def check_label(text: str, field: str, longest: int = 256) -> str:
    """What people call a role, a group or somebody: spaces inside are fine. Raises Invalid.

    What cannot be seen is refused here, too: no two labels look like one.
    """
    if not 0 < len(text) <= longest or not text.isprintable() or text != " ".join(text.split()):
        raise Invalid(
            field,
            f"{text[:100]!r} is not a name",
            allowed=f"1 to {longest} visible characters, single spaces between words",
        )
    return text


def check_scope(text: str, field: str = "scope") -> str:
    """Where a role can be given, without a slash at its end. Raises Invalid."""
    path = text if text == "/" else text.rstrip("/")
    if path == "/" or (len(path) <= LONGEST_ID and (_PLACE.fullmatch(path) or _MACHINE.fullmatch(path))):
        for part, check in zip(path.split("/")[2:5:2], (check_subscription, check_resource_group), strict=False):
            check(part, field)
        return path
    raise Invalid(
        field,
        f"{text[:200]!r} is no place where a role can be given",
        allowed="/, /subscriptions/GUID, /subscriptions/GUID/resourceGroups/GROUP, or a machine's id",
    )


def check_location(text: str, field: str = "ascLocation") -> str:
    """``West Europe`` and ``westeurope`` are one location. Raises Invalid."""
    return check_name(key(text.replace(" ", "")), field)


def covers(scope: str, resource: str) -> bool:
    """Whether a scope path holds a resource: itself, or anything below it.

    ``/`` holds everything. What is no path holds nothing, so that a scope that got lost gives no rights.
    """
    if not scope.startswith("/"):
        return False
    wide, narrow = key(scope).rstrip("/"), key(resource).rstrip("/")
    return narrow == wide or narrow.startswith(wide + "/")


def _fold(letter: str) -> str:
    """One letter as the fold writes it: small in ASCII, else its capital where that is one letter outside ASCII."""
    if letter.isascii():
        return letter.lower()
    capital = letter.upper()
    return letter if len(capital) > 1 or capital.isascii() else capital
