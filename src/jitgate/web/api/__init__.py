"""The native REST face: what the contract cannot say, in jitgate's own words, below ``/api/v1``."""

from fastapi import APIRouter

from jitgate.web.api import (
    activity,
    assignments,
    credentials,
    grants,
    groups,
    guardrails,
    machines,
    policies,
    principals,
    requests,
    roles,
    whoami,
)

router = APIRouter(prefix="/api/v1")
for family in (
    whoami,
    machines,
    requests,
    grants,
    policies,
    guardrails,
    principals,
    groups,
    roles,
    assignments,
    credentials,
    activity,
):
    router.include_router(family.router)
