"""Shutting what is overdue with nothing but AWS's own credentials: for when every jitgate process is gone.

A rule of ours carries its end in a tag. A jitgate that lives has revoked it, or tagged it anew, before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jitgate.connectors.aws import own, world
from jitgate.connectors.aws.calls import Accounts, Ec2, Refused
from jitgate.connectors.aws.world import MARK, UNTIL, Rule

GRACE = timedelta(seconds=60)
"""So long a jitgate that lives has to shut it itself."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A rule that should not let anybody through any more. `error`: why it still does; "" where it is shut."""

    group: str
    rule: str
    until: str
    error: str = ""


async def sweep(accounts: Accounts, now: datetime, grace: timedelta = GRACE, *, dry: bool = False) -> Sequence[Overdue]:
    """Revoke all overdue rules; with `dry`, only tell of them. Raises ConnectorError, where they cannot be listed."""
    found = [(ec2, await _overdue(ec2, now - grace)) for ec2 in await accounts.each()]
    return [await _shut(ec2, rule, dry=dry) for ec2, rules in found for rule in rules]


async def _overdue(ec2: Ec2, now: datetime) -> list[Rule]:
    """The rules that their tags prove to be ours, and that outlived their end.

    Of all rules: Amazon can pick those out that have a tag of some value, and not those that have the tag at all.
    """
    rules = map(world.rule, await ec2.pages("describe_security_group_rules", "SecurityGroupRules"))
    return [rule for rule in rules if MARK in rule.tags and not rule.is_egress and own.is_over(rule, now)]


async def _shut(ec2: Ec2, rule: Rule, *, dry: bool) -> Overdue:
    told = Overdue(f"{ec2.place} {rule.group}", rule.describe(), rule.tags[UNTIL])
    if dry:
        return told
    try:
        await ec2.ask("revoke_security_group_ingress", GroupId=rule.group, SecurityGroupRuleIds=[rule.id])
    except Refused as error:
        return Overdue(told.group, told.rule, told.until, error.message)
    return told
