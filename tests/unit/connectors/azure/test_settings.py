"""What an Azure connector can be told."""

import json
from pathlib import Path

import pytest

from jitgate.connectors.azure import permissions, settings
from jitgate.core.errors import Invalid

GUID = "11111111-1111-1111-1111-111111111111"
ROLE = Path(__file__).parents[4] / "deploy" / "azure" / "connector-role.json"


def test_the_role_that_ships_grants_what_the_connector_needs_and_nothing_else() -> None:
    assert sorted(json.loads(ROLE.read_text("utf-8"))["Actions"]) == sorted(permissions.NEEDED)


@pytest.mark.parametrize(
    ("cloud", "host"), [("usgov", "usgovcloudapi"), ("china", "chinacloudapi"), ("public", "azure.com")]
)
def test_sovereign_clouds_are_known_by_name(cloud: str, host: str) -> None:
    found = settings.read(settings.check({"cloud": cloud}))
    assert host in found.endpoint
    assert host in found.scope


def test_settings_of_the_command_line_are_understood() -> None:
    kept = settings.check({"subscriptions": f"{GUID}, {GUID}", "credential": "managed", "bastion": "allow"})
    found = settings.read(kept)
    assert found.subscriptions == (GUID, GUID)
    assert found.lets_bastion_in


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"secret": "hunter2"}, "settings.secret: there is no such setting"),
        ({"credential": "secret", "tenant": "t", "client": "c"}, "settings.secret_file"),
        ({"credential": "none"}, "only an endpoint on this machine"),
        ({"credential": "none", "endpoint": "https://management.azure.com"}, "only an endpoint on this machine"),
        ({"endpoint": "http://10.0.0.1"}, "settings.endpoint"),
        ({"endpoint": "https://me:pw@host"}, "settings.endpoint"),
        ({"secret_file": "secret"}, "beginning with /"),
        ({"subscriptions": "mine"}, "GUID"),
        ({"cloud": "moon"}, "public, usgov, china"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(given: dict[str, str], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        settings.check(given)
