"""`jitgate principal`, `group` and `role`: who may do what."""

from pathlib import Path

from tests.cli.conftest import Cli, eventually

from jitgate.identity.issuers import Issuer, Provider

ROLES = """
roles:
  - name: On call
    description: Asks for access at night.
    actions: [Microsoft.Security/locations/jitNetworkAccessPolicies/*, Microsoft.Compute/virtualMachines/read]
    notActions: [Microsoft.Security/locations/jitNetworkAccessPolicies/write]
    assignableScopes: [/]
"""


def test_a_program_is_added_given_a_role_and_disabled(cli: Cli) -> None:
    assert cli("principal", "add", "ci@example.com", "--service").code == 0
    assert cli("role", "assign", "jit requester", "--to", "CI@example.com").code == 0
    secret = cli("principal", "secret", "create", "ci@example.com", "-o", "json")
    assert secret.code == 0, secret
    shown = cli("principal", "show", "ci@example.com")
    assert "JIT Requester" in shown.out
    assert "enabled" in shown.out
    assert cli("principal", "disable", "ci@example.com").code == 0
    assert "disabled since" in cli("principal", "ls").out
    assert cli("principal", "enable", "ci@example.com").code == 0
    assert {each["name"] for each in cli("principal", "ls", "-o", "json").data} == {"owner", "ci@example.com"}


def test_disabling_somebody_shuts_what_they_have_open(cli: Cli) -> None:
    token = cli.server.token_of("bob", "JIT Requester")
    assert cli("open", "web-1", "ssh", JITGATE_TOKEN=token).code == 0
    assert cli.reaches()
    assert cli("principal", "disable", "bob").code == 0
    assert eventually(lambda: not cli.reaches())
    assert cli("ls", JITGATE_TOKEN=token).code == 5


def test_the_first_owner_is_disabled_by_another_and_by_nobody_before(cli: Cli) -> None:
    ran = cli("principal", "disable", "owner")
    assert ran.code == 1
    assert "another administrator" in ran.err
    second = cli.server.token_of("second", "Owner")
    assert cli("principal", "disable", "owner", JITGATE_TOKEN=second).code == 0
    assert cli("whoami").code == 5
    alarms = cli("activity", "--operation", "Jitgate.Access/signIn/ownerTokenUsed", "-o", "json", JITGATE_TOKEN=second)
    assert len(alarms.data) == 1
    ran = cli("role", "unassign", "Owner", "--from", "second", "--scope", "/", JITGATE_TOKEN=second)
    assert (ran.code, "nobody could give rights" in ran.err) == (1, True)


def test_a_group_gives_its_members_what_it_was_given(cli: Cli) -> None:
    token = cli.server.token_of("bob")
    assert cli("group", "add", "on call").code == 0
    assert cli("role", "assign", "JIT Requester", "--to", "on call", "--scope", "web-1").code == 0
    assert cli("open", "web-1", "ssh", JITGATE_TOKEN=token).code == 3
    assert cli("group", "join", "on call", "bob").code == 0
    assert cli("open", "web-1", "ssh", JITGATE_TOKEN=token).code == 0
    assert "bob" in cli("group", "show", "on call").out
    assert cli("group", "leave", "on call", "bob").code == 0
    assert eventually(lambda: not cli.reaches())
    assert "Nobody is in it" in cli("group", "show", "on call").out
    assert cli("group", "delete", "on call").code == 0
    assert cli("group", "show", "on call").code == 3


def test_a_claimed_group_is_named_as_the_identity_provider_names_it(cli: Cli) -> None:
    assert cli("group", "add", "/realm/admins", "--claimed").code == 2, "no identity provider is trusted yet"
    issuer = Issuer("keycloak", "https://id.example/realms/x", client_id="jitgate")
    # The fixture's server trusts nobody, and is running already.
    object.__setattr__(cli.server.service.bearers.issuers, "providers", (Provider(issuer, cli.server.clock),))
    assert cli("group", "add", "/realm/admins", "--claimed", "--issuer", "other").code == 2
    assert cli("group", "add", "/realm/admins", "--claimed", "--issuer", "keycloak").code == 0
    assert "the identity provider https://id.example/realms/x" in cli("group", "ls").out
    ran = cli("group", "join", "/realm/admins", "owner")
    assert (ran.code, "identity provider" in ran.err) == (1, True)
    assert cli("group", "delete", "/realm/admins").code == 0
    assert cli("group", "delete", "/realm/admins").code == 3


def test_a_role_in_a_file_is_shown_as_a_difference_before_it_is_defined(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "roles.yaml"
    file.write_text(ROLES)
    ran = cli("role", "plan", "-f", str(file))
    assert ran.code == 2
    assert "+actions:" in ran.err
    assert cli("role", "apply", "-f", str(file)).code == 2, "nobody is there to say yes"
    assert cli("role", "apply", "-f", str(file), "--yes").code == 0
    assert cli("role", "plan", "-f", str(file)).code == 0
    assert "On call" in cli("role", "ls").out
    written = cli("role", "show", "on call").out
    assert cli("role", "plan", "-f", "-", input=written).code == 0
    assert cli("role", "delete", "On call").code == 0
    assert cli("role", "show", "On call").code == 3


def test_what_is_no_role_is_refused_by_the_place_in_the_file(cli: Cli) -> None:
    for text, said in (
        ("", "no list of roles"),
        ("roles: [{actions: []}]", "has no name"),
        ("roles: [{name: a, colour: red}]", "colour"),
        ("roles: [{name: a}, {name: A}]", "twice"),
        ("roles: [{name: a, actions: [], assignableScopes: [/]}]", "at least one pattern"),
        ("roles: [{name: a, actions: ['a b'], assignableScopes: [/]}]", "is not a pattern of actions"),
        ("roles: [{name: Owner, actions: ['*'], assignableScopes: [/]}]", "built in"),
    ):
        ran = cli("role", "apply", "-f", "-", "--yes", input=text)
        assert ran.code == 2, text
        assert said in ran.err, ran.err


def test_the_least_privileged_role_is_enough_to_ask_and_for_nothing_else(cli: Cli) -> None:
    """Case J8; with --for-api-only it is enough outside Azure."""
    subscription = cli.server.subscription
    assert cli("role", "create-least-privileged", "--subscription", subscription).code == 0
    assert cli("role", "create-least-privileged", "--subscription", subscription).code == 0
    named = ("--name", "For programs", "--for-api-only")
    assert cli("role", "create-least-privileged", "--subscription", subscription, *named).code == 0
    assert cli("role", "create-least-privileged", "--subscription", subscription, "--for-api-only").code == 1
    for role, name in (("JIT Access Role", "bob"), ("for programs", "eve")):
        token = cli.server.token_of(name)
        assert cli("role", "assign", role, "--to", name).code == 0
        ran = cli("open", "web-1", "ssh", JITGATE_TOKEN=token)
        assert ran.code == 0, ran
        assert cli("disable", "web-1", JITGATE_TOKEN=token).code in (3, 5)
        assert cli("role", "ls", JITGATE_TOKEN=token).code == 5


def test_assignments_are_listed_and_taken_away(cli: Cli) -> None:
    cli.server.token_of("bob")
    assert cli("role", "assign", "Reader", "--to", "bob").code == 0
    assert cli("role", "assign", "Reader", "--to", "bob").code == 1
    listed = cli("role", "assignments", "--principal", "bob", "-o", "json").data
    assert [(each["principal"], each["role"]) for each in listed] == [("bob", "Reader")]
    assert "owner" in cli("role", "assignments").out
    assert cli("role", "unassign", "reader", "--from", "BOB").code == 0
    assert cli("role", "unassign", "reader", "--from", "BOB").code == 3
    assert cli("role", "assign", "Reader", "--to", "nobody").code == 3
    assert cli("role", "assign", "Emperor", "--to", "bob").code == 3
    assert cli("role", "assign", "Reader", "--to", "bob", "--scope", "no-such-machine").code == 3


def test_nobody_gives_more_than_they_hold(cli: Cli) -> None:
    token = cli.server.token_of("local", "Contributor")
    assert cli("role", "assign", "Reader", "--to", "local", JITGATE_TOKEN=token).code == 5
