"""As whom Azure is asked, where that is in a file."""

from pathlib import Path
from typing import Any

import pytest
from azure import identity
from azure.core.credentials import AccessToken

from jitgate.connectors.azure import credentials
from jitgate.connectors.azure.settings import Settings
from jitgate.connectors.base import ConnectorError
from jitgate.trust.files import write_private


class Told:
    """In place of the one of azure-identity, which would ask Entra ID: its token is the secret."""

    def __init__(self, tenant: str, client: str, secret: str, **_: Any) -> None:
        self.secret = secret

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(self.secret, 0)


def test_the_next_secret_is_used_as_soon_as_it_is_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ClientSecretCredential", Told)
    file = tmp_path / "secret"
    file.write_text("former\n")
    made = credentials.make(Settings(credential="secret", tenant="t", client="c", secret_file=str(file)))
    assert made is not None
    assert made.get_token("scope").token == "former"
    write_private(file, b"next\n")
    assert made.get_token("scope").token == "next"
    file.unlink()
    assert made.get_token("scope").token == "next", "while there is none, the last one stays"


@pytest.mark.parametrize(("content", "why"), [(None, "cannot be read"), (b"x", "no certificate with its key")])
def test_a_file_that_does_not_do_is_told(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "certificate.pem"
    if content is not None:
        file.write_bytes(content)
    chosen = Settings(credential="certificate", tenant="t", client="c", certificate_file=str(file))
    with pytest.raises(ConnectorError, match=why):
        credentials.make(chosen)
