"""The bill of materials: CycloneDX 1.6 (ECMA-424), the same bytes from the same parts."""

import json
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from release.parts import Part, parts


def bill() -> str:
    """As JSON. It tells no time: what was made from the same lock files is the same."""
    listed = parts()
    [own] = [part for part in listed if part.name == "jitgate"]
    others = [part for part in listed if part is not own]
    body: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component(own, "application")},
        "components": [_component(part, "library") for part in others],
        "dependencies": list(_dependencies(listed)),
    }
    body["serialNumber"] = f"urn:uuid:{uuid5(NAMESPACE_URL, json.dumps(body, sort_keys=True))}"
    return json.dumps(body, indent=2, sort_keys=True) + "\n"


def _component(part: Part, kind: str) -> dict[str, Any]:
    named = {"type": kind, "name": part.name, "version": part.version, "purl": part.purl, "bom-ref": part.purl}
    return named | ({"licenses": [{"expression": part.licence}]} if part.licence else {})


def _dependencies(listed: tuple[Part, ...]) -> list[dict[str, Any]]:
    by_name = {part.name: part for part in listed}
    scripts = [part.purl for part in listed if part.source == "npm"]
    return [
        {
            "ref": part.purl,
            "dependsOn": sorted(
                [by_name[name].purl for name in part.needs] + (scripts if part.name == "jitgate" else [])
            ),
        }
        for part in listed
    ]
