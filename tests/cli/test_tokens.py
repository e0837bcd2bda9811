"""Personal tokens and client secrets, from the command line."""

from uuid import uuid4

from tests.cli.conftest import Cli

from jitgate.store import principals


def test_a_new_token_stands_alone_on_standard_output_and_works(cli: Cli) -> None:
    made = cli("token", "create", "laptop", "--for", "1h", "--action", "*/read")
    assert made.code == 0, made
    secret = made.out.strip()
    assert secret.startswith("jg_")
    assert "shown this once" in made.err
    assert cli("machine", "ls", JITGATE_TOKEN=secret).code == 0
    assert cli("enable", "web-2", JITGATE_TOKEN=secret).code == 5


def test_tokens_are_listed_with_what_they_are_good_for_and_go_when_revoked(cli: Cli) -> None:
    made = cli("token", "create", "laptop", "--action", "*/read", "--output", "json").data["id"]
    listed = cli("token", "ls")
    assert "*/read at /" in listed.out
    assert "never" in listed.out
    assert cli("token", "revoke", made).code == 0
    assert "laptop" not in cli("token", "ls").out
    assert "revoked" in cli("token", "ls", "--all").out


def test_a_service_principals_secrets_are_made_listed_and_revoked(cli: Cli) -> None:
    server = cli.server
    server.call(server.service.store.write(lambda tx: principals.add(tx, uuid4().hex, "deploy", "service")))
    made = cli("principal", "secret", "create", "deploy", "--for", "30d")
    secret = made.out.strip().split("_")[1]
    assert secret in cli("principal", "secret", "ls", "deploy").out
    assert cli("principal", "secret", "revoke", secret).code == 0
    assert cli("principal", "secret", "ls", "deploy", "--output", "json").data == []
    assert cli("principal", "secret", "create", "nobody").code == 3


def test_a_person_gets_a_first_way_in_that_is_listed_and_revoked(cli: Cli) -> None:
    assert cli("principal", "add", "bob").code == 0
    made = cli("principal", "link", "bob", "--for", "2h")
    assert made.code == 0, made
    assert "shown this once" in made.err
    address, _, secret = made.out.strip().partition("#")
    assert address.endswith("/sign-in")
    link = secret.split("_")[1]
    assert link in cli("token", "ls", "--principal", "bob").out
    assert cli("token", "revoke", link).code == 0
    assert link not in cli("token", "ls", "--principal", "bob").out
    assert cli("principal", "link", "bob", "--for", "8d").code != 0
    assert cli("principal", "link", "nobody").code == 3
