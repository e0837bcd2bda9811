"""Microsoft's own clients, talking to the fake. As Any: by their types everything may be missing."""

from typing import Any

from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient

from jitgate.testing.azure.scene import SUBSCRIPTION


class SignedIn(SansIOHTTPPolicy):  # type: ignore[type-arg]
    """A token that goes over plain HTTP, which Microsoft's own policy refuses."""

    def on_request(self, request):  # type: ignore[no-untyped-def]
        request.http_request.headers["Authorization"] = "Bearer somebody"


class Credential:
    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        return AccessToken("somebody", 4_000_000_000)


def network(url: str) -> Any:
    return NetworkManagementClient(
        Credential(), SUBSCRIPTION, url, authentication_policy=SignedIn(), polling_interval=0.01, retry_total=0
    )


def compute(url: str) -> Any:
    return ComputeManagementClient(
        Credential(), SUBSCRIPTION, url, authentication_policy=SignedIn(), polling_interval=0.01, retry_total=0
    )
