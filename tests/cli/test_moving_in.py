"""`jitgate import` and `jitgate recommend`: from what there is to what is shut."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.cli.conftest import Cli, eventually

from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach
from jitgate.service.machines import take_over


def azure_policy(cli: Cli, machines: Sequence[str], **more: Any) -> dict[str, Any]:
    """A policy in the shape that `az security jit-policy list` prints."""
    group = cli.server.machine_id("web-2").partition("/providers/")[0]
    port = {
        "number": 22,
        "protocol": "*",
        "allowedSourceAddressPrefix": "*",
        "allowedSourceAddressPrefixes": None,
        "maxRequestAccessDuration": "PT2H",
    }
    listed = [{"id": name, "ports": [port], "publicIpAddress": None, "resourceGroup": "prod"} for name in machines]
    name = f"{group}/providers/Microsoft.Security/locations/westeurope/jitNetworkAccessPolicies/prod-jit"
    flat = {"id": name, "kind": "Basic", "location": "westeurope", "name": "prod-jit", "requests": []}
    return {**flat, "provisioningState": "Succeeded", "virtualMachines": listed, **more}


def write(file: Path, *policies: Any) -> str:
    file.write_text(json.dumps(list(policies)))
    return str(file)


def test_azures_policies_are_taken_over_under_their_names(cli: Cli, tmp_path: Path) -> None:
    file = write(tmp_path / "az.json", azure_policy(cli, [cli.server.machine_id("web-2").upper()]))
    shown = cli("import", "azure-jit", file)
    assert (shown.code, "+" in shown.err) == (2, True), "nobody is there to say yes"
    assert cli.reaches("web-2")
    ran = cli("import", "azure-jit", file, "--yes")
    assert ran.code == 0, ran
    assert "two engines" in ran.err
    assert eventually(lambda: not cli.reaches("web-2"))
    [policy] = cli("policy", "get", "web-2", "-o", "json").data
    assert policy["name"] == "prod-jit"
    assert policy["machines"][0]["ports"][0]["maxDuration"] == "PT2H"
    again = cli("import", "azure-jit", file)
    assert (again.code, again.out) == (0, "Nothing to change.\n")


def test_what_cannot_be_taken_over_is_said_one_by_one(cli: Cli, tmp_path: Path) -> None:
    asked = {"virtualMachines": [{"id": "x", "ports": [{"number": 22, "status": "Initiated"}]}]}
    known, gone = cli.server.machine_id("web-2"), cli.server.machine_id("gone-1")
    policy = azure_policy(cli, [known, gone], requests=[asked])
    nothing = {**azure_policy(cli, [gone]), "id": policy["id"].replace("prod-jit", "empty")}
    ran = cli("import", "azure-jit", write(tmp_path / "az.json", policy, nothing, "no policy"), "--yes")
    assert ran.code == 0, ran
    assert f"{gone} of {policy['id']}: no connector lists it" in ran.err
    assert "1 open requests" in ran.err
    assert f"{nothing['id']}: none of its machines" in ran.err
    assert "entry 2: it has no id" in ran.err
    assert eventually(lambda: not cli.reaches("web-2"))


def test_the_services_own_shape_is_understood_too(cli: Cli, tmp_path: Path) -> None:
    flat = azure_policy(cli, [cli.server.machine_id("web-2")])
    nested = {"id": flat["id"], "properties": {"virtualMachines": flat["virtualMachines"], "requests": []}}
    (tmp_path / "az.json").write_text(json.dumps({"value": [nested]}))
    assert cli("import", "azure-jit", str(tmp_path / "az.json"), "--yes").code == 0
    assert eventually(lambda: not cli.reaches("web-2"))


def test_what_is_no_list_of_policies_is_refused_with_what_to_run(shared_cli: Cli, tmp_path: Path) -> None:
    for text in ("{", '{"a": 1}', "3"):
        (tmp_path / "bad.json").write_text(text)
        ran = shared_cli("import", "azure-jit", str(tmp_path / "bad.json"))
        assert (ran.code, "az security jit-policy list" in ran.err) == (2, True)


def test_recommend_lists_the_worst_first_with_the_command_that_mends_it(cli: Cli) -> None:
    ssh = Exposure(22, Protocol.TCP, Reach.ANYONE, ("0.0.0.0/0",), ("allow-ssh",))
    rdp = Exposure(3389, Protocol.TCP, Reach.INTERNAL, ("10.0.0.0/8",), ("AllowVnetInBound",))
    web = replace(ssh, port=443)
    told = {"web-1": [ssh], "web-2": [rdp, web], "win-1": [replace(ssh, effective_deny=True)]}
    found = [replace(each, exposure=tuple(told[each.name])) for each in cli.server.connector.machines]
    cli.server.call(take_over(cli.server.service, found, "memory"))
    advice = cli("recommend", "-o", "json").data
    assert [(each["machine"], each["command"]) for each in advice] == [
        ("web-1", "jitgate machine show web-1"),
        ("web-2", "jitgate enable web-2"),
    ]
    assert "anyone" in advice[0]["exposed"][0]
    assert "allow-ssh" in advice[0]["exposed"][0]
    assert [line.split()[0] for line in advice[1]["exposed"]] == ["3389"]
    assert cli("recommend", "--limit", "1", "-o", "json").data == advice[:1]


def test_recommend_says_so_where_nothing_is_exposed(shared_cli: Cli) -> None:
    assert "No management port is known to be reached" in shared_cli("recommend").out
