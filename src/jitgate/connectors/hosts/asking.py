"""Questions to agents: each has a number, goes to one of them, and is answered once, by that one."""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from jitgate.clock import Clock
from jitgate.connectors.base import ConnectorError, Pending, Report
from jitgate.connectors.hosts.messages import Applied, Apply, Failed, Hosts
from jitgate.core.desired import Desired

PATIENCE_SECONDS = 5.0
_KEYS_A_SECOND = 20_000

Reply = Hosts | Applied | Failed
_MOST_GIVEN_UP = 8
"""Questions about one scope that a late answer may still answer."""

Whom = object
"""What tells one agent from another: compared by identity."""


@dataclass(frozen=True, slots=True)
class _Question:
    whom: Whom
    scope: str
    answer: "asyncio.Future[Reply]"


Ask = Callable[[Callable[[int], Apply], float], Awaitable[Reply]]
"""Have an order said, made for a number, and wait for its answer for so many seconds."""


async def order(desired: Desired, clock: Clock, patience: float, ask: Ask) -> Report | Pending:
    """What stands once an agent has made `desired` stand; Pending if that takes longer than `patience` and what very
    many keys take. Raises ConnectorError, GenerationBehind."""
    # In this order: a moment lost between the two shortens the grants, and does not lengthen them.
    worked_out = clock.elapsed()
    # What time has passed since it was worked out is no longer left of any grant.
    aged = replace(desired, at=max(desired.at, clock.wall()))
    patience += len(aged.access) / _KEYS_A_SECOND
    try:
        answer = await ask(lambda number: Apply(number, aged, worked_out), patience)
    except TimeoutError:
        return Pending(clock.wall() + timedelta(seconds=patience))
    if isinstance(answer, Applied) and answer.report.scope == desired.scope:
        return answer.report
    raise unexpected(answer)


def unexpected(answer: Reply) -> ConnectorError:
    """What an answer means that is not the one to the question."""
    if isinstance(answer, Failed):
        return answer.error()
    return ConnectorError(f"the agent answered something else: {type(answer).__name__}")


class Asking:
    """The questions under way. For one event loop."""

    def __init__(self) -> None:
        # Not from 1: what answers a question of a former server must not pass for an answer to one of this.
        self._numbers = itertools.count(secrets.randbits(48))
        self._under_way: dict[int, _Question] = {}
        self._given_up: dict[int, _Question] = {}

    async def ask(self, whom: Whom, scope: str, say: Callable[[int], Awaitable[None]], patience: float) -> Reply:
        """Have a question said, and wait for its answer. Raises TimeoutError, ConnectorError.

        `scope`: what a late answer wakes; "" if nothing.
        """
        number = next(self._numbers)
        question = _Question(whom, scope, asyncio.get_running_loop().create_future())
        self._under_way[number] = question
        try:
            async with asyncio.timeout(patience):
                await say(number)
                return await question.answer
        except TimeoutError:
            if scope:
                self._give_up(number, question)
            raise
        finally:
            del self._under_way[number]

    def _give_up(self, number: int, question: _Question) -> None:
        """Remember the last few questions about a scope: one that never answers is asked for ever."""
        former = [n for n, each in self._given_up.items() if (each.whom, each.scope) == (question.whom, question.scope)]
        for each in former[: len(former) + 1 - _MOST_GIVEN_UP]:
            del self._given_up[each]
        self._given_up[number] = question

    def hear(self, whom: Whom, reply: Reply) -> str:
        """Take in an answer. The scope that it is about, if nobody waits for it any more; else ""."""
        question = self._under_way.get(reply.number)
        if question is not None and question.whom is whom:
            if not question.answer.done():
                question.answer.set_result(reply)
            return ""
        late = self._given_up.get(reply.number)
        if late is None or late.whom is not whom:
            return ""
        del self._given_up[reply.number]
        return late.scope

    def fail(self, whom: Whom, reason: str) -> None:
        """Whatever was asked of this one is not answered any more."""
        self._given_up = {number: each for number, each in self._given_up.items() if each.whom is not whom}
        for question in self._under_way.values():
            if question.whom is whom and not question.answer.done():
                question.answer.set_exception(ConnectorError(reason))
