"""Plans: what Microsoft Defender for Servers demands before just-in-time access, where an administrator wants it so.

Nobody pays for jitgate: a subscription of which nothing was said has Standard/P2, with no end. The gate acts only where
somebody sets Free, P1, or a trial.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from jitgate.core.resource_id import covers, key

NAME = "VirtualMachines"
TRIAL = timedelta(days=30)
MOST_OVERRIDES = 1000
"""How many machines may have a plan of their own."""


class Tier(StrEnum):
    """The contract's ``pricingTier``."""

    FREE = "Free"
    STANDARD = "Standard"


class SubPlan(StrEnum):
    """The contract's ``subPlan``. Just-in-time access belongs to P2."""

    P1 = "P1"
    P2 = "P2"


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a subscription, or of one machine.

    `scope`      the id of either
    `enforce`    machines below have no plan of their own
    `trial_ends` a trial is Standard/P2 until then, and Free from then on; None: no trial
    `enabled`    since when it is not Free
    `extensions` kept as they were put, and shown; nothing here depends on them
    """

    scope: str
    tier: Tier = Tier.STANDARD
    sub_plan: SubPlan | None = SubPlan.P2
    enforce: bool = False
    trial_ends: datetime | None = None
    enabled: datetime | None = None
    extensions: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def has_jit(self, now: datetime) -> bool:
        """Whether just-in-time access may be asked for under it."""
        return self.sub_plan is SubPlan.P2 and self.tier_at(now) is Tier.STANDARD

    def tier_at(self, now: datetime) -> Tier:
        """The tier as it counts: a trial that is over is Free."""
        is_over = self.trial_ends is not None and self.trial_ends <= now
        return Tier.FREE if is_over else self.tier

    def trial_left(self, now: datetime) -> timedelta:
        """What is left of a trial; nothing where there is none."""
        return max(self.trial_ends - now, timedelta()) if self.trial_ends else timedelta()

    def describe(self, now: datetime) -> str:
        """The plan in a word."""
        if self.tier_at(now) is Tier.FREE:
            return "Free, as its trial is over" if self.trial_ends else "Free"
        return f"{self.tier}, {self.sub_plan}"


def subscription_of(scope: str) -> str:
    """The subscription that a scope path is in."""
    return "/".join(scope.split("/")[:3])


def covering(scope: str, plans: Mapping[str, Plan]) -> Plan:
    """The plan that holds for a machine or subscription; `plans` by the key of their scope."""
    of_subscription = plans.get(key(subscription_of(scope))) or Plan(subscription_of(scope))
    if of_subscription.enforce:
        return of_subscription
    return plans.get(key(scope), of_subscription)


def disabling(resource: str, scopes: Sequence[str]) -> str | None:
    """The scope at which just-in-time access is switched off for a machine; None: it is not."""
    return next((scope for scope in scopes if covers(scope, resource)), None)
