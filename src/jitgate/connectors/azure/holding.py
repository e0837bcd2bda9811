"""Making one network security group hold what it must: one write at a time, each seen to its end."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jitgate.clock import Clock
from jitgate.connectors.azure.arm import CALL_SECONDS, POLL_SECONDS, Answer, Arm, ArmError
from jitgate.connectors.azure.atlas import Atlas
from jitgate.connectors.azure.listing import NETWORK
from jitgate.connectors.azure.planning import Delete, NsgPlan, Put, Write, plan
from jitgate.connectors.azure.rules import SUCCEEDED, Nsg, Rule, Wanted, read_rule
from jitgate.core.resource_id import key

MOST_PLANS = 4
"""How often it is planned anew, because others have written in between."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long there is, by times of the event loop: after `writes` no write begins, after `all` nothing is waited for.

    A call that begins before `writes` is over before the lease is.
    """

    writes: float
    all: float

    @classmethod
    def of(cls, seconds: float) -> "Budget":
        now = asyncio.get_running_loop().time()
        return cls(now + seconds, now + seconds + CALL_SECONDS / 3)

    @property
    def may_write(self) -> bool:
        return asyncio.get_running_loop().time() < self.writes

    @property
    def may_wait(self) -> bool:
        return asyncio.get_running_loop().time() + POLL_SECONDS < self.all


@dataclass(slots=True)
class Held:
    """What came of it.

    `undone`     names of rules that do not stand yet as they must, or are not gone yet
    `error`      the first thing that went wrong; `again_in`: seconds until there is a write to be had
    """

    undone: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    outranked: dict[str, Sequence[Rule]] = field(default_factory=dict)
    error: ArmError | None = None
    again_in: float = 0.0


class Holder:
    """Holds groups for one connector."""

    def __init__(self, arm: Arm, atlas: Atlas, clock: Clock, poll_seconds: float = POLL_SECONDS) -> None:
        self._poll_seconds = poll_seconds
        self._arm = arm
        self._clock = clock
        self._atlas = atlas
        self._locked: set[str] = set()

    async def hold(
        self,
        group: str,
        wanted: Iterable[Wanted],
        unwanted: Iterable[str],
        members: Mapping[str, frozenset[str]],
        budget: Budget,
    ) -> Held:
        """Make rules of a group stand, and others go, as far as there is time. Raises nothing of Azure's."""
        rules, gone = list(wanted), set(unwanted)
        held = Held()
        for attempt in range(MOST_PLANS):
            nsg = self._atlas.group(group)
            if nsg is None:
                held.refused = {rule.name: "its network security group is gone" for rule in rules}
                held.undone = set()
                return held
            planned = plan(nsg, rules, gone, members, locked=self._is_locked(nsg))
            held.refused, held.outranked = dict(planned.refused), dict(planned.outranked)
            # Once it has failed for its etag, the group was looked at a moment ago: that has to do.
            is_over = await self._carry_out(nsg, planned, held, budget, by_etag=attempt == 0)
            if planned.awaited:
                self._atlas.doubt(group)
                held.again_in = max(held.again_in, POLL_SECONDS)
            if is_over:
                break
        return held

    async def put_others(self, nsg: Nsg, name: str, body: Mapping[str, Any], budget: Budget) -> None:
        """Write a rule of others, to its end. Raises ArmError."""
        if not budget.may_write:
            raise ArmError(f"no time was left to change {name} in {nsg.name}; it is done in the next pass")
        answer = await self._arm.put(f"{nsg.id}/securityRules/{name}", NETWORK, body)
        self._atlas.doubt(nsg.key)
        if not await self._ends(answer, budget):
            raise ArmError(f"{nsg.name} has not taken the change of {name} yet; it is looked at again")
        self._atlas.note(nsg.key, name, replace(read_rule(answer.body), state=SUCCEEDED))

    async def _carry_out(self, nsg: Nsg, planned: NsgPlan, held: Held, budget: Budget, *, by_etag: bool) -> bool:
        """Do all writes. False: what was known of the group was wrong; plan anew.

        `by_etag`: a rule is only written over where it is the one that was seen.
        """
        held.undone = {write.name for write in planned.writes} | planned.awaited
        held.error = None
        for index, write in enumerate(planned.writes, 1):
            if not budget.may_write:
                return True
            if wait := self._wait(nsg, write, len(planned.writes) - index):
                held.again_in = max(held.again_in, wait)
                return True
            try:
                is_done = await self._do(nsg, write, budget, by_etag=by_etag)
            except ArmError as error:
                if await self._is_to_be_planned_anew(nsg, write, error, budget):
                    return False
                held.error = held.error or error
                held.again_in = max(held.again_in, error.after)
                if error.is_throttled or error.status == 0:
                    return True
                continue
            if not is_done:
                return True
            held.undone.discard(write.name)
        return True

    def _wait(self, nsg: Nsg, write: Write, more: int) -> float:
        """How long others come first in what Azure takes of writes. What is shut ahead of its end is due now."""
        now = self._clock.wall()
        shuts_by = min(write.due or now, now).timestamp() if write.shuts else None
        method = "DELETE" if isinstance(write, Delete) else "PUT"
        return self._arm.pacer.wait(method, nsg.id, nsg.key, shuts_by, more)

    async def _do(self, nsg: Nsg, write: Write, budget: Budget, *, by_etag: bool) -> bool:
        """One write, to its end. False: there was no time to see that."""
        path = f"{nsg.id}/securityRules/{write.name}"
        if isinstance(write, Delete):
            answer = await self._arm.delete(path, NETWORK)
            result: Rule | None = None
        else:
            etag = self._etag(nsg, write) if by_etag else ""
            answer = await self._arm.put(path, NETWORK, write.wanted.body(write.priority), etag)
            result = replace(read_rule(answer.body), state=SUCCEEDED)
        # Until it is seen to have ended, what is known of the rule is what stood before.
        self._atlas.doubt(nsg.key)
        if not await self._ends(answer, budget):
            return False
        if isinstance(write, Put) and result is not None and not write.wanted.is_held_by(result):
            raise ArmError(f"{nsg.name} holds the rule {write.name} otherwise than it was written")
        self._atlas.note(nsg.key, write.name, result)
        return True

    def _etag(self, nsg: Nsg, write: Put) -> str:
        """That of the rule that is written over, where it is known still; a write before it in this pass changes it."""
        now = self._atlas.group(nsg.key)
        rule = now.rules.get(key(write.name)) if now is not None else None
        return rule.etag if rule is not None else ""

    async def _ends(self, answer: Answer, budget: Budget) -> bool:
        """Wait for an operation, asking every second. Raises ArmError, where it fails."""
        if answer.operation is None:
            return True
        while budget.may_wait:
            await asyncio.sleep(self._poll_seconds)
            if await self._arm.is_over(answer.operation):
                return True
        return False

    async def _is_to_be_planned_anew(self, nsg: Nsg, write: Write, error: ArmError, budget: Budget) -> bool:
        """Whether a refusal tells that the group is not as it was thought to be; it is looked at again."""
        if error.is_locked and isinstance(write, Delete):
            self._locked.add(nsg.key)
            return True
        if not (error.is_busy or error.is_outdated or error.status == 404) or not budget.may_wait:
            return False
        if error.is_busy:
            await asyncio.sleep(self._poll_seconds)
        await self._atlas.look_at(nsg.key)
        return True

    def _is_locked(self, nsg: Nsg) -> bool:
        return nsg.key in self._locked or bool(self._atlas.topology.lock_on(nsg.id))
