"""Subscriptions: under which GUIDs things are filed."""

from jitgate.core.errors import NotFound
from jitgate.core.resource_id import key
from jitgate.service.base import Service
from jitgate.store import installation


async def check_subscription(service: Service, subscription: str) -> None:
    """Raise NotFound (``SubscriptionNotFound``) for a subscription under which nothing is filed, nor would be."""
    if key(subscription) == key(service.settings.subscription):
        return
    if not await service.store.read(lambda tx: installation.holds_subscription(tx, subscription)):
        raise NotFound(
            f"There is no subscription {subscription!r} here. Name one that a connector has; machines outside the "
            f"clouds are filed under {service.settings.subscription!r}.",
            code="SubscriptionNotFound",
        )
