"""Settings: who may do what, what is connected, what is limited, frozen or named, and one's own tokens."""

from jitgate.web.portal.settings import (
    connectors,
    freezes,
    guardrails,
    networks,
    notifications,
    people,
    roles,
    tokens,
)

ROUTES = (
    *tokens.ROUTES,
    *roles.ROUTES,
    *people.ROUTES,
    *connectors.ROUTES,
    *guardrails.ROUTES,
    *networks.ROUTES,
    *freezes.ROUTES,
    *notifications.ROUTES,
)
