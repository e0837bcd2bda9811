"""As whom Azure is asked: what azure-identity knows, chosen by a setting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure import identity
from azure.core.credentials import AccessToken, TokenCredential

from jitgate.connectors.azure.settings import Settings
from jitgate.connectors.base import ConnectorError
from jitgate.trust.files import Replaceable


def make(settings: Settings) -> TokenCredential | None:
    """The credential that the settings name; None: the endpoint is on this machine and asked without.

    Raises ConnectorError, where a file that holds a secret cannot be read.
    """
    where = {"authority": settings.authority}
    client: dict[str, Any] = {"client_id": settings.client} if settings.client else {}
    tenant: dict[str, Any] = {"tenant_id": settings.tenant} if settings.tenant else {}
    match settings.credential:
        case "managed":
            return identity.ManagedIdentityCredential(**client)
        case "workload":
            return identity.WorkloadIdentityCredential(**tenant, **client, **where)
        case "environment":
            return identity.EnvironmentCredential(**where)
        case "cli":
            return identity.AzureCliCredential(**tenant)
        case "secret":
            return _OutOfFile(settings.secret_file, lambda data: _by_secret(settings, data, where))
        case "certificate":
            return _OutOfFile(settings.certificate_file, lambda data: _by_certificate(settings, data, where))
        case "none":
            return None
        case _:
            return identity.DefaultAzureCredential(**where)


class _OutOfFile:
    """A credential of what a file holds now: Azure believes the former secret and the next one meanwhile."""

    def __init__(self, file: str, make: Callable[[bytes], TokenCredential]) -> None:
        try:
            self._held = Replaceable(Path(file), make)
        except OSError as error:
            raise ConnectorError(f"{file} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConnectorError(f"{file} holds no secret, or no certificate with its key: {error}") from error

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """As azure-identity's credentials have it. One that was replaced is let go of with the last that uses it."""
        return self._held.now().get_token(*scopes, **options)

    def close(self) -> None:
        """Let go of what it keeps open."""
        close(self._held.now())


def _by_secret(settings: Settings, data: bytes, where: dict[str, str]) -> TokenCredential:
    return identity.ClientSecretCredential(settings.tenant, settings.client, data.decode().strip(), **where)


def _by_certificate(settings: Settings, data: bytes, where: dict[str, str]) -> TokenCredential:
    return identity.CertificateCredential(settings.tenant, settings.client, certificate_data=data, **where)


def close(credential: Any) -> None:
    """Let go of what a credential keeps open."""
    if credential is not None and hasattr(credential, "close"):
        credential.close()
