"""What all pages of the settings share: the way between them, and what is frozen, loudly."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from jitgate.core import roles
from jitgate.core.roles import Principal
from jitgate.service import freezes
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.portal.nav import Entry
from jitgate.web.portal.pages import page

TABS = (
    Entry("/settings", "Tokens", "key"),
    Entry("/settings/roles", "Roles", "users", (roles.READ_ASSIGNMENT,)),
    Entry("/settings/people", "People", "user", (roles.READ_PRINCIPAL, roles.READ_GROUP)),
    Entry("/settings/connectors", "Connectors", "cloud", (roles.READ_CONNECTOR,)),
    Entry("/settings/guardrails", "Guardrails", "shield", (roles.READ_GUARDRAIL, roles.WRITE_GUARDRAIL)),
    Entry("/settings/networks", "Networks", "network", (roles.READ_NETWORK,)),
    Entry("/settings/freezes", "Freezes", "snow", (roles.READ_FREEZE, roles.FREEZE)),
    Entry("/settings/notifications", "Notifications", "bell", (roles.READ_NOTIFICATION,)),
)


async def settings_page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """One of the pages."""
    service, asker = service_of(request), asker_of(request)
    may_see = asker.principal.may(roles.READ_FREEZE, "/")
    frozen = await freezes.list_freezes(service, asker) if may_see else ()
    tabs = _tabs(asker.principal)
    return page(request, f"settings/{template}", status, **{"tabs": tabs, "frozen": frozen, "problems": (), **values})


def _tabs(principal: Principal) -> Sequence[Entry]:
    return [tab for tab in TABS if tab.is_for(principal)]
