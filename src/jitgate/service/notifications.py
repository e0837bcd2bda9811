"""Who is notified, and how far each has got. Receivers are set in the server's configuration."""

from collections.abc import Sequence

from jitgate.core import roles
from jitgate.service.attempt import require
from jitgate.service.base import Asker, Service
from jitgate.store import cursors
from jitgate.store.cursors import Receiver


async def list_receivers(service: Service, asker: Asker) -> Sequence[Receiver]:
    """All receivers, by name. Raises Forbidden."""
    require(asker, roles.READ_NOTIFICATION, "/")
    return await service.store.read(cursors.list_receivers)
