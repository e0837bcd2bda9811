"""The face for agents on hosts elsewhere: joining, and the long poll that they are reached by."""

from jitgate.web.agents.routes import AUTHORITIES, KEYS, POLL, PREFIX, AgentLink, add_routes, link_of

__all__ = ["AUTHORITIES", "KEYS", "POLL", "PREFIX", "AgentLink", "add_routes", "link_of"]
