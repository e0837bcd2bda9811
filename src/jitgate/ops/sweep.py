"""`jitgate sweep`: shut what is overdue in a cloud, with its credentials alone: no server, no database.

Run by a timer (deploy/systemd/jitgate-sweep.timer) somewhere else than jitgate itself.
"""

import asyncio
import sys
from datetime import timedelta
from typing import Annotated

import typer

from jitgate.clock import SystemClock
from jitgate.connectors.base import ConnectorError
from jitgate.core.errors import Invalid, JitgateError
from jitgate.core.resource_id import check_subscription

_CANNOT, _STILL_OPEN = 2, 1


def sweep(
    subscription: Annotated[
        list[str] | None,
        typer.Option(
            "--subscription",
            envvar="JITGATE_SWEEP_SUBSCRIPTIONS",
            help="Azure: which; may be repeated.",
            metavar="GUID",
        ),
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", envvar="JITGATE_SWEEP_KIND", help="Which cloud: azure or aws.", metavar="KIND")
    ] = "azure",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            envvar="JITGATE_SWEEP_SETTINGS",
            help="As `jitgate connector add` takes them; may be repeated.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    grace: Annotated[
        int,
        typer.Option(
            min=0, max=3600, help="Seconds past its end that a rule is left to a jitgate that lives.", metavar="SECONDS"
        ),
    ] = 60,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what is overdue, and shut nothing.")] = False,
) -> None:
    """Shut what is overdue in a cloud, with its credentials alone: no server, no database."""
    try:
        given = dict(_setting(each) for each in settings or ())
        if kind == "azure":
            is_all_shut = asyncio.run(_azure(_checked(subscription), given, grace, dry=dry_run))
        elif kind == "aws":
            is_all_shut = asyncio.run(_aws(given, grace, dry=dry_run))
        else:
            raise Invalid("--kind", f"{kind!r:.40} is no cloud that can be swept", allowed="azure or aws")
    except (JitgateError, ConnectorError) as error:
        print(f"jitgate: {error.message}", file=sys.stderr)
        raise typer.Exit(_CANNOT) from None
    if not is_all_shut:
        raise typer.Exit(_STILL_OPEN)


async def _azure(subscriptions: list[str], given: dict[str, str], grace: int, *, dry: bool) -> bool:
    """Sweep Azure; whether nothing overdue is left open. Raises JitgateError, ConnectorError."""
    from jitgate.connectors.azure import overdue
    from jitgate.connectors.azure.settings import check, read

    found = await overdue.sweep(
        subscriptions, read(check(given)), SystemClock().wall(), timedelta(seconds=grace), dry=dry
    )
    for each in found:
        outcome = each.error or ("overdue" if dry else "shut")
        print(f"{each.group} {each.rule}, until {each.until:%Y-%m-%d %H:%M:%S} UTC: {outcome}")
    return dry or not any(each.error for each in found)


async def _aws(given: dict[str, str], grace: int, *, dry: bool) -> bool:
    """Sweep AWS; whether nothing overdue is left open. Raises JitgateError, ConnectorError."""
    from jitgate.connectors.aws import overdue
    from jitgate.connectors.aws.calls import Accounts
    from jitgate.connectors.aws.settings import read

    accounts = Accounts(read(given))
    try:
        found = await overdue.sweep(accounts, SystemClock().wall(), timedelta(seconds=grace), dry=dry)
    finally:
        accounts.close()
    for each in found:
        print(f"{each.group}: {each.rule}, until {each.until}: {each.error or ('overdue' if dry else 'shut')}")
    return dry or not any(each.error for each in found)


def _checked(subscriptions: list[str] | None) -> list[str]:
    if not subscriptions:
        raise Invalid("--subscription", "no subscription is named", allowed="--subscription GUID, once or more")
    return [check_subscription(each, "--subscription") for each in subscriptions]


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise Invalid("--set", f"{text!r:.80} is not a setting", allowed="--set NAME=VALUE")
    return name, value
