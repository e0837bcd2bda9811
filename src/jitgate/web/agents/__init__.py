"""The face for agents on hosts elsewhere: joining, and the long poll that they are reached by."""

from jitgate.web.agents.routes import AgentLink, add_routes, link_of

__all__ = ["AgentLink", "add_routes", "link_of"]
