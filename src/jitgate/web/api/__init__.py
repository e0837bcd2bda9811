"""The native REST face: what the contract cannot say, in jitgate's own words, below ``/api/v1``."""

from fastapi import APIRouter

from jitgate.web.api import (
    activity,
    alterations,
    approvals,
    assignments,
    connectors,
    credentials,
    freezes,
    grants,
    groups,
    guardrails,
    hosts,
    insights,
    machines,
    networks,
    notifications,
    plans,
    policies,
    principals,
    reports,
    requests,
    roles,
    whoami,
)

router = APIRouter(prefix="/api/v1")
for family in (
    whoami,
    machines,
    alterations,
    hosts,
    connectors,
    requests,
    approvals,
    grants,
    freezes,
    policies,
    guardrails,
    networks,
    principals,
    groups,
    roles,
    assignments,
    credentials,
    plans,
    activity,
    reports,
    insights,
    notifications,
):
    router.include_router(family.router)
router.include_router(machines.counts)
