"""The native REST face: what the contract cannot say, in jitgate's own words, below ``/api/v1``."""

from fastapi import APIRouter

from jitgate.web.api import activity, credentials, grants, guardrails, machines, policies, requests, whoami

router = APIRouter(prefix="/api/v1")
for family in (whoami, machines, requests, grants, policies, guardrails, credentials, activity):
    router.include_router(family.router)
