"""Trusted issuers, out of the settings and the files that they name."""

from collections.abc import Callable, Iterable
from pathlib import Path

from jitgate.clock import Clock
from jitgate.config import settings
from jitgate.core.errors import Invalid
from jitgate.identity.issuers import Issuer, Issuers, Provider
from jitgate.trust.files import Replaceable


def trusted(listed: Iterable[settings.Issuer], clock: Clock) -> Issuers:
    """The issuers that the settings list. Raises Invalid for a file that cannot be read."""
    return Issuers(tuple(Provider(_issuer(each), clock) for each in listed))


def _issuer(listed: settings.Issuer) -> Issuer:
    secret = listed.client_secret_file
    return Issuer(
        name=listed.name,
        url=listed.url,
        audience=listed.audience or "",
        client_id=listed.client_id or "",
        client_secret=_secret(secret) if secret else str,
        scopes=listed.scopes,
        name_claim=listed.name_claim,
        groups_claim=listed.groups_claim,
        leeway=listed.leeway,
        ca=Path(listed.ca_file) if listed.ca_file and _read(listed.ca_file) else None,
    )


def _secret(file: str) -> Callable[[], str]:
    """What a file holds whenever it is asked for: the next secret may be put there at any time."""
    _read(file)
    return Replaceable(Path(file), lambda content: content.decode("utf-8").strip()).now


def _read(file: str) -> str:
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("issuer", f"{file} cannot be read: {error}", allowed="a file that jitgate may read") from None
