"""What every use case is given: the house it works in, and who asks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from jitgate.clock import Clock
from jitgate.core import policy
from jitgate.core.prefixes import Prefix
from jitgate.core.roles import Principal
from jitgate.identity.attempts import Attempts
from jitgate.identity.bearers import Bearers
from jitgate.store.database import Store


@dataclass(frozen=True, slots=True)
class SignIn:
    """How long people stay signed in: `session` in all, `idle` without a call, `command_line` after a login there."""

    session: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(minutes=60)
    command_line: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation may choose.

    `history`         how long an ended request stays listed
    `longest_access`  the most that a policy may allow
    `subscription`, `resource_group`  where machines outside the clouds are filed
    `remind_before`   how long before its end a grant's owner is reminded; zero: not at all
    `public_url`      where people reach this server; "": not known, so notifications hold no addresses
    `link_keys`       of the links in notifications, the one that signs first; none: there are no links
    """

    subscription: str
    resource_group: str = "jitgate"
    history: timedelta = timedelta(days=30)
    longest_access: timedelta = policy.LONGEST_ACCESS
    remind_before: timedelta = timedelta(minutes=10)
    public_url: str = ""
    link_keys: Callable[[], Sequence[bytes]] = tuple
    sign_in: SignIn = field(default_factory=SignIn)


CheckSettings = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A connector's settings as its kind takes them. Raises Invalid."""

Reach = Callable[[Mapping[str, Any]], frozenset[str]]
"""The accounts that a connector's settings lead to."""


def reach_none(_settings: Mapping[str, Any]) -> frozenset[str]:
    """None: the settings lead to no account of their own."""
    return frozenset()


Places = Callable[[str], frozenset[str]]
"""The accounts that a firewall may be in, by its scope, as a connector's reach names them."""


@dataclass(frozen=True, slots=True)
class Service:
    """The house: where things are kept, and by which clock.

    `attempts`         how often who has tried to sign in
    `bearers`          whose tokens are believed
    `connector_kinds`  the clouds that can be connected here
    `connector_reach`  for kinds whose settings lead to accounts of their own: which those are, by the settings
    `connector_places` for kinds that do not file all machines where they are: in which account or subscription a
                       firewall of theirs is
    """

    store: Store
    clock: Clock
    settings: Settings
    attempts: Attempts = field(default_factory=Attempts)
    bearers: Bearers = field(default_factory=Bearers)
    connector_kinds: Mapping[str, CheckSettings] = field(default_factory=dict)
    connector_reach: Mapping[str, Reach] = field(default_factory=dict)
    connector_places: Mapping[str, Places] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the principal, by which credential, from where; `correlation` ties the record together.

    `address` is None where the caller's address cannot be told. `is_lent`: what they ask with stands in for a
    credential, for minutes.
    """

    principal: Principal
    credential: str = ""
    address: Prefix | None = None
    correlation: str = field(default="")
    is_lent: bool = False
