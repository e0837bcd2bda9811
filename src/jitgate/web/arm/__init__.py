"""The ARM face: Microsoft's contract for just-in-time network access policies, as its real service answers it, and what
its clients need around it to sign in and to find machines."""

from fastapi import FastAPI

from jitgate.web.arm import activity_log, authorization, inventory, pricings, routes, sign_in
from jitgate.web.arm.schemas import OBJECTS


def add_routes(app: FastAPI) -> None:
    """Add all of it to an application."""
    for part in (routes, inventory, authorization, activity_log, pricings, sign_in):
        part.add_routes(app)


__all__ = ["OBJECTS", "add_routes"]
