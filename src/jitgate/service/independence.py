"""Whether two are two: what keeps somebody from agreeing with themselves under another name.

Whoever may give roles can make a second administrator. So an agreement counts only from a person whose right had stood
for a week when the change was proposed, and so must the right of whoever proposed it: whatever was set up for the
occasion, through however many hands, is younger. What was set up on the installation's first day counts at once, since
its first person could have set up anything then.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from jitgate import reconsideration
from jitgate.core.errors import Forbidden
from jitgate.core.roles import Kind
from jitgate.identity.kinds import JOIN
from jitgate.service.base import Asker
from jitgate.store import principals, tenure
from jitgate.store.database import Tx
from jitgate.store.principals import Account

SETTLED, FIRST_DAY = timedelta(days=7), timedelta(days=1)
CODE = "NotIndependent"


def require_second_person(tx: Tx, asker: Asker, by: str, at: datetime, action: str, scopes: Sequence[str]) -> None:
    """Raise Forbidden unless the asker can agree to what another (by uid) proposed at a moment.

    `action` at all of `scopes` is the right that both need.
    """
    me = principals.get_many(tx, [asker.principal.uid])[asker.principal.uid]
    if me.kind is not Kind.USER:
        raise Forbidden(
            f"{me.name} is a program, and whoever made it can speak through it: a person must confirm.", code=CODE
        )
    behind = _people_behind(tx, by, at)
    if any(each.uid == me.uid for each in behind):
        raise Forbidden(
            "Who proposes to loosen a guardrail, also through a program whose secret they made, cannot confirm it: "
            "another administrator must.",
            code=CODE,
        )
    for each in (me, *behind):
        _require_settled(tx, each, at, action, scopes)


def require_other_person(tx: Tx, asker: Asker, by: str, at: datetime) -> None:
    """Raise Forbidden unless the asker is a person other than who made a request (by uid), by themselves or through a
    program.
    """
    if why := why_not_another(tx, asker, by, at):
        raise Forbidden(why, code=CODE)


def why_not_another(tx: Tx, asker: Asker, by: str, at: datetime) -> str:
    """Why the asker's word on a request of somebody (by uid) is not another person's; "" if it is."""
    me = principals.get_many(tx, [asker.principal.uid])[asker.principal.uid]
    if me.kind is not Kind.USER:
        return f"{me.name} is a program, and whoever made it can speak through it: this takes a person's word."
    if me.uid in reconsideration.behind(tx, by, at):
        return (
            "Nobody agrees to their own request, and who made a secret of the program that asked could have asked "
            "through it: another approver must."
        )
    return ""


def _people_behind(tx: Tx, uid: str, at: datetime) -> list[Account]:
    """Who proposed; and for a program also those who made what it signs in with, for they could speak through it."""
    proposer = principals.get_many(tx, [uid])[uid]
    if proposer.kind is Kind.USER:
        return [proposer]
    makers = tenure.makers(tx, uid, at, but=JOIN)
    known = principals.get_many(tx, [maker for maker in makers if maker])
    if not makers or not all(maker in known and known[maker].kind is Kind.USER for maker in makers):
        raise Forbidden(
            f"Nobody knows which person speaks through {proposer.name}: it has no secret, one from before makers were "
            "noted, or signs in through an issuer. So nobody can be told to be another one. Let a person propose the "
            "same change, and another person confirm it.",
            code=CODE,
        )
    return [proposer, *known.values()]


def _require_settled(tx: Tx, who: Account, at: datetime, action: str, scopes: Sequence[str]) -> None:
    latest = max(at - SETTLED, tenure.first_principal(tx) + FIRST_DAY)
    since = [tenure.held_since(tx, who.uid, action, scope) for scope in scopes]
    if all(moment is not None and moment <= min(latest, at) for moment in since):
        return
    raise Forbidden(
        f"The right of {who.name} ({action}) had not stood for {SETTLED.days} days when this was proposed, counted "
        "from when their account, role or membership last changed, or somebody made a sign-in link for them. "
        "Let two people who have held it for longer propose and confirm, or propose it again later.",
        code=CODE,
    )
