"""The native REST face: what the contract cannot say, in jitgate's own words, below ``/api/v1``."""

from fastapi import APIRouter

from jitgate.web.api import (
    activity,
    approvals,
    assignments,
    credentials,
    freezes,
    grants,
    groups,
    guardrails,
    hosts,
    machines,
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
    hosts,
    requests,
    approvals,
    grants,
    freezes,
    policies,
    guardrails,
    principals,
    groups,
    roles,
    assignments,
    credentials,
    plans,
    activity,
    reports,
):
    router.include_router(family.router)
