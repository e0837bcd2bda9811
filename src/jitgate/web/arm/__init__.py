"""The ARM face: Microsoft's contract for just-in-time network access policies, as its real service answers it."""

from jitgate.web.arm.routes import add_routes

__all__ = ["add_routes"]
