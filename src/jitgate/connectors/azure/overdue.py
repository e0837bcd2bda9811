"""Shutting what is overdue with nothing but Azure's own credentials: for when every jitgate process is gone.

A rule of ours says in its description when the first source that it lets through has to go. Which of several that is,
it has no room to say; so past that time the rule is shut as a whole. A jitgate that lives has written it anew before.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jitgate.connectors.azure import firewalls, names
from jitgate.connectors.azure.arm import POLL_SECONDS, Answer, Arm, ArmError
from jitgate.connectors.azure.listing import LISTS, NETWORK
from jitgate.connectors.azure.planning import turned
from jitgate.connectors.azure.rules import Nsg, Rule, read_nsg
from jitgate.connectors.azure.settings import Settings

GRACE = timedelta(seconds=60)
"""So long a jitgate that lives has to shut it itself."""
_MAY_TAKE_SECONDS = 60.0
_FIREWALL_MAY_TAKE_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Overdue:
    """A rule that should not let anybody through any more. `error`: why it still does; "" where it is shut."""

    group: str
    rule: str
    until: datetime
    error: str = ""


async def sweep(
    subscriptions: Sequence[str], settings: Settings, now: datetime, grace: timedelta = GRACE, *, dry: bool = False
) -> Sequence[Overdue]:
    """Shut all overdue rules; with `dry`, only tell of them. Raises ArmError, where they cannot be listed."""
    arm = Arm(settings)
    try:
        # Groups first: they shut in a second, a firewall takes minutes, and its not being listed keeps no group open.
        groups = await _sweep_groups(arm, subscriptions, now - grace, dry=dry)
        return [*groups, *await _sweep_firewalls(arm, subscriptions, now - grace, dry=dry)]
    finally:
        await arm.close()


async def _sweep_groups(arm: Arm, subscriptions: Sequence[str], by: datetime, *, dry: bool) -> list[Overdue]:
    groups = [read_nsg(body) for each in subscriptions for body in await _list(arm, each, "groups")]
    found = [(nsg, list(_overdue(nsg, by))) for nsg in groups]
    if dry:
        return [Overdue(nsg.id, rule.name, until) for nsg, rules in found for rule, until in rules]
    shut = await asyncio.gather(*(_shut_all(arm, nsg, rules) for nsg, rules in found))
    return [each for part in shut for each in part]


async def _sweep_firewalls(arm: Arm, subscriptions: Sequence[str], by: datetime, *, dry: bool) -> list[Overdue]:
    """A firewall is written as a whole, so once for all that is overdue there."""
    listed = [body for each in subscriptions for body in await _list(arm, each, "firewalls")]
    found = [(body, firewalls.overdue(body, by)) for body in listed]
    errors = await asyncio.gather(*(_thin_out(arm, body, rules) for body, rules in found if rules and not dry))
    told = dict(zip((body["id"] for body, rules in found if rules and not dry), errors, strict=True))
    return [
        Overdue(body["id"], name, until, told.get(body["id"], ""))
        for body, rules in found
        for name, until in rules.items()
    ]


async def _list(arm: Arm, subscription: str, what: str) -> list[Mapping[str, Any]]:
    chosen = LISTS[what]
    return [body async for body in arm.list(f"subscriptions/{subscription}/{chosen.path}", chosen.version)]


def _overdue(nsg: Nsg, now: datetime) -> Iterator[tuple[Rule, datetime]]:
    """The rules that name and mark prove to be ours, and that let somebody through after their end."""
    for rule in nsg.rules.values():
        mark = names.mark_of(rule.description)
        is_ours = mark is not None and names.machine_tag_of(rule.name) is not None and names.opens(rule.name)
        if is_ours and mark is not None and mark.until is not None and mark.until <= now and rule.access == "allow":
            yield rule, mark.until


async def _shut_all(arm: Arm, nsg: Nsg, rules: Sequence[tuple[Rule, datetime]]) -> list[Overdue]:
    """One after the other: a group takes one write at a time."""
    found = []
    for rule, until in rules:
        try:
            async with asyncio.timeout(_MAY_TAKE_SECONDS):
                await _shut(arm, nsg, rule)
            found.append(Overdue(nsg.id, rule.name, until))
        except (ArmError, TimeoutError) as error:
            found.append(Overdue(nsg.id, rule.name, until, str(error) or "Azure has not done it in time"))
    return found


async def _thin_out(arm: Arm, body: Mapping[str, Any], rules: Collection[str]) -> str:
    """Take rules out of a firewall; returns why they stand still, "" where they do not."""
    try:
        async with asyncio.timeout(_FIREWALL_MAY_TAKE_SECONDS):
            while (wanted := firewalls.without(body, rules)) is not None:
                try:
                    await _end(arm, await arm.put(str(body["id"]), NETWORK, wanted, str(body.get("etag", ""))))
                    return ""
                except ArmError as error:
                    if not (error.is_busy or error.is_throttled or error.is_outdated):
                        raise
                    await asyncio.sleep(max(POLL_SECONDS, error.after))
                body = await arm.get(str(body["id"]), NETWORK)
    except (ArmError, TimeoutError) as error:
        return str(error) or "Azure has not done it in time"
    return ""


async def _shut(arm: Arm, nsg: Nsg, rule: Rule) -> None:
    """Delete a rule; where a lock forbids that, turn it to a deny. Raises ArmError."""
    path = f"{nsg.id}/securityRules/{rule.name}"
    while True:
        try:
            await _end(arm, await arm.delete(path, NETWORK))
            return
        except ArmError as error:
            if error.is_locked:
                await _end(arm, await arm.put(path, NETWORK, _deny(rule)))
                return
            if not (error.is_busy or error.is_throttled):
                raise
            await asyncio.sleep(max(POLL_SECONDS, error.after))


def _deny(rule: Rule) -> Mapping[str, Any]:
    return turned(rule).body(rule.priority)


async def _end(arm: Arm, answer: Answer) -> None:
    """Wait for an operation, asking every second. Raises ArmError, where it fails."""
    is_over = answer.operation is None
    while not is_over:
        await asyncio.sleep(POLL_SECONDS)
        is_over = await arm.is_over(str(answer.operation))
