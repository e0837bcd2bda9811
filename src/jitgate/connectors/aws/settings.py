"""What an administrator says of an AWS connector. Secrets are none of it: they are in the server's environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jitgate.core.errors import Invalid

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}")
_ENDPOINT = re.compile(r"https?://[^\s/]+(/\S*)?")
_KNOWN = ("regions", "roles", "external_id", "group_slots", "rules_per_group", "endpoint")
OWN = "the server's own account"
"""Which one that is, the settings do not say."""
DEFAULT_SLOTS, MOST_SLOTS = 5, 16
DEFAULT_RULES, MOST_RULES = 60, 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """`roles`: one for each account, assumed with `external_id`; none: the account of the server's own credentials.

    `group_slots`      security groups that an interface may have: the account's quota
    `rules_per_group`  rules of one family that a group may have: the account's quota
    `endpoint`         another address than Amazon's: for tests
    """

    regions: tuple[str, ...]
    roles: tuple[str, ...] = ()
    external_id: str = ""
    group_slots: int = DEFAULT_SLOTS
    rules_per_group: int = DEFAULT_RULES
    endpoint: str = ""


def check(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings as they are kept. Raises Invalid."""
    read(given)
    return {name: str(value).strip() for name, value in given.items()}


def read(given: Mapping[str, Any]) -> Settings:
    """The settings of a row. Raises Invalid."""
    if unknown := sorted(given.keys() - set(_KNOWN)):
        raise Invalid(f"settings.{unknown[0]}", "there is no such setting", allowed=", ".join(_KNOWN))
    regions = _each(given, "regions", _REGION, "names such as eu-west-1, separated by commas")
    if not regions:
        raise Invalid("settings.regions", "no region is named", allowed="names such as eu-west-1, separated by commas")
    roles = _each(given, "roles", _ROLE, "ARNs of roles, separated by commas")
    external = _one(given, "external_id", _EXTERNAL_ID, "2 to 1224 of A-Z a-z 0-9 _+=,.@:/-")
    if external and not roles:
        raise Invalid("settings.external_id", "an external id is for assuming roles", allowed="roles as well")
    return Settings(
        regions=regions,
        roles=roles,
        external_id=external,
        group_slots=_number(given, "group_slots", DEFAULT_SLOTS, MOST_SLOTS),
        rules_per_group=_number(given, "rules_per_group", DEFAULT_RULES, MOST_RULES),
        endpoint=_one(given, "endpoint", _ENDPOINT, "an http or https address"),
    )


def reach(kept: Mapping[str, Any]) -> frozenset[str]:
    """The regions of accounts that settings which were kept lead to, as ``123456789012/eu-west-1``."""
    found = read(kept)
    accounts = [role.split(":")[4] for role in found.roles] or [OWN]
    return frozenset(f"{account}/{region}" for account in accounts for region in found.regions)


def places(scope: str) -> frozenset[str]:
    """What `reach` may call the region that a firewall is in: any account may be the server's own."""
    _, account, region, _ = scope.split("/", 3)
    return frozenset({f"{account}/{region}", f"{OWN}/{region}"})


def _each(given: Mapping[str, Any], name: str, form: re.Pattern[str], allowed: str) -> tuple[str, ...]:
    found = [part.strip() for part in str(given.get(name, "")).split(",") if part.strip()]
    for part in found:
        _must_match(name, part, form, allowed)
    return tuple(dict.fromkeys(found))


def _one(given: Mapping[str, Any], name: str, form: re.Pattern[str], allowed: str) -> str:
    text = str(given.get(name, "")).strip()
    if text:
        _must_match(name, text, form, allowed)
    return text


def _must_match(name: str, text: str, form: re.Pattern[str], allowed: str) -> None:
    if not form.fullmatch(text):
        raise Invalid(f"settings.{name}", f"{text[:100]!r} is not accepted", allowed=allowed)


def _number(given: Mapping[str, Any], name: str, default: int, most: int) -> int:
    text = str(given.get(name, default)).strip()
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise Invalid(f"settings.{name}", f"{text[:20]!r} is not accepted", allowed=f"1 to {most}")
    return int(text)
