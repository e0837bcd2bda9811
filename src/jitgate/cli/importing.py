"""`jitgate import`: taking over what another product holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from jitgate.cli import changes, documents
from jitgate.cli.changes import ForceOption, YesOption
from jitgate.cli.exits import Usage
from jitgate.cli.server import Json, Server
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session

app = typer.Typer(help="Take over what another product holds.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Found:
    """What can be taken over, as policies with their ids, and what cannot, in words."""

    policies: list[tuple[str, Json]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@app.callback()
def importing() -> None:
    """Take over what another product holds."""


@app.command("azure-jit")
def import_azure_jit(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="What `az security jit-policy list` printed; - for standard input."),
    ],
    yes: YesOption = False,
    force: ForceOption = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Take over the policies of Microsoft Defender for Cloud under their names, after showing what changes.

    Only machines that a connector lists can be protected; what cannot be taken over is said.
    """
    with session(output, data_dir) as s:
        found = _translate(_read(file), _known(s.server))
        for each in found.left:
            s.screen.note(f"Not taken over: {each}", "yellow")
        changes.apply(s, found.policies, yes=yes, force=force)
        if found.policies:
            s.screen.note(
                "Microsoft's own policies go on holding the same machines. Remove them once jitgate's stand, "
                "so that two engines do not fight over one firewall: "
                "`az rest --method delete --url ID?api-version=2020-01-01`."
            )


def _read(file: str) -> Sequence[Any]:
    try:
        document = json.loads(documents.text(file))
    except ValueError as error:
        raise Usage(f"{file} is not JSON: {error}. Run `az security jit-policy list --output json`.") from None
    listed = document.get("value") if isinstance(document, dict) else document
    if not isinstance(listed, list):
        raise Usage(f"{file} holds no list of policies. Run `az security jit-policy list --output json`.")
    return listed


def _known(server: Server) -> Mapping[str, Json]:
    """The machines that connectors list, by their folded ids."""
    return {machine["id"].casefold(): machine for machine in server.pages("/machines")}


def _translate(listed: Sequence[Any], known: Mapping[str, Json]) -> Found:
    """Policies in Azure's shape as jitgate's: the tool prints `properties` flat, the service nests them."""
    found = Found()
    for index, policy in enumerate(listed):
        name = policy.get("id") if isinstance(policy, dict) else None
        if not isinstance(name, str):
            found.left.append(f"entry {index}: it has no id, so it is no policy")
            continue
        said = policy.get("properties", policy)
        machines = [_machine(each, known, name, found.left) for each in said.get("virtualMachines") or ()]
        if taken := [machine for machine in machines if machine]:
            found.policies.append((name, {"machines": taken}))
        else:
            found.left.append(f"{name}: none of its machines can be protected here")
        live = [one for one in said.get("requests") or () if _is_live(one)]
        if live:
            found.left.append(f"{name}: {len(live)} open requests; they end in Azure at their own time")
    return found


def _machine(part: Json, known: Mapping[str, Json], policy: str, left: list[str]) -> Json | None:
    name = str(part.get("id", ""))
    machine = known.get(name.casefold())
    if machine is None or not machine["supported"]:
        why = machine["unsupportedReason"] if machine else "no connector lists it (`jitgate connector ls`)"
        left.append(f"{name} of {policy}: {why}")
        return None
    ports = [_port(port) for port in part.get("ports") or ()]
    address = part.get("publicIpAddress")
    return {"id": name, "ports": ports} | ({"publicIpAddress": address} if address else {})


def _port(port: Json) -> Json:
    one, several = port.get("allowedSourceAddressPrefix"), port.get("allowedSourceAddressPrefixes")
    return {
        "number": port.get("number"),
        "protocol": _protocol(str(port.get("protocol") or "*")),
        "sources": several or str(one or "*").replace(",", " ").split(),
        "maxDuration": port.get("maxRequestAccessDuration") or "PT3H",
    }


def _protocol(word: str) -> str:
    return "*" if word.casefold() in {"*", "all", "any"} else word.upper()


def _is_live(request: Json) -> bool:
    ports = [port for machine in request.get("virtualMachines") or () for port in machine.get("ports") or ()]
    return any(port.get("status") in {"Initiated", "Initiating"} for port in ports)
