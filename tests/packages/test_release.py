"""What is released: the same bytes each time, of known parts, under licences that are accepted."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from release import check, licences, sbom
from release.parts import Part, parts
from tests.packages.environment import SERVER, asked_for, build


def test_built_in_another_directory_at_another_time_it_is_the_same_to_the_byte() -> None:
    assert check.built_twice_it_is_the_same() == ""


def test_both_distributions_have_one_version() -> None:
    assert check.versions_agree() == ""


def test_the_bill_of_materials_is_valid_and_the_same_each_time() -> None:
    assert check.bill_of_materials_is_made() == ""
    assert sbom.bill() == sbom.bill()


def test_the_bill_of_materials_names_all_that_the_wheels_ask_for_and_the_portals_scripts(
    wheels: dict[str, list[Path]],
) -> None:
    bill = json.loads(sbom.bill())
    named = {each["name"] for each in bill["components"]}
    assert asked_for(wheels["server"] + wheels["agent"], ("all",)) <= named
    assert {"jitgate-agent", "htmx.org", "htmx-ext-sse", "uplot"} <= named
    assert "pytest" not in named
    assert "axe-core" not in named
    references = {bill["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in bill["components"])}
    assert {each["ref"] for each in bill["dependencies"]} == references
    assert {other for each in bill["dependencies"] for other in each["dependsOn"]} <= references


def test_every_part_is_under_a_licence_that_is_accepted() -> None:
    assert [why for part in parts() if (why := licences.refused(part))] == []


@pytest.mark.parametrize(
    ("licence", "holds"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("Apache-2.0 AND GPL-2.0-only", False),
        ("AGPL-3.0-only", False),
        ("", False),
    ],
)
def test_a_part_without_a_licence_or_under_a_strange_one_is_refused(licence: str, holds: bool) -> None:
    assert (licences.refused(Part("pypi", "some", "1", licence)) == "") is holds


def test_the_source_distribution_builds_the_wheel_that_the_tree_builds(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    [sdist] = build(SERVER, tmp_path_factory.mktemp("sdist"), "sdist")
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    [again] = build(next(unpacked.iterdir()), tmp_path_factory.mktemp("again"))
    [first] = build(SERVER, tmp_path_factory.mktemp("first"))
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    ("checks", "with_tests", "tag", "code", "tagged"),
    [
        (["", ""], False, False, 0, False),
        (["", "amiss"], False, False, 1, False),
        (["", "amiss"], True, True, 1, False),
        ([""], False, True, 2, False),
        ([""], True, True, 0, True),
    ],
)
def test_the_list_tags_only_when_it_is_told_to_and_all_is_well(
    monkeypatch: pytest.MonkeyPatch, checks: list[str], with_tests: bool, tag: bool, code: int, tagged: bool
) -> None:
    given: list[tuple[str, ...]] = []
    monkeypatch.setattr(check, "CHECKS", tuple(_saying(what) for what in checks))
    monkeypatch.setattr(check, "tests_pass", _saying(""))
    monkeypatch.setattr(check, "_git", lambda *words: given.append(words))
    assert check.run(with_tests=with_tests, tag=tag) == code
    assert bool(given) is tagged


def _saying(what: str) -> Callable[[], str]:
    return lambda: what
