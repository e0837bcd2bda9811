"""Resource ids: compared without case, echoed as written, and never two as one."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.examples import GROUP, SUBSCRIPTION, shown

from jitgate.core import resource_id
from jitgate.core.errors import Invalid
from jitgate.core.resource_id import PolicyId, covers, key, parse_machine_id

MACHINE = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web-1"


def swap_case(text: str, bits: int) -> str:
    return "".join(letter.swapcase() if bits >> at & 1 else letter for at, letter in enumerate(text))


@given(st.integers(0, 2 ** len(MACHINE)))
def test_an_id_in_any_case_is_the_same_machine_and_is_echoed_as_written(bits: int) -> None:
    """Case RA7."""
    written = swap_case(MACHINE, bits)
    found = parse_machine_id(written, "id")
    assert found.text == written
    assert found.key == key(MACHINE)


def test_an_id_is_taken_apart() -> None:
    found = parse_machine_id(MACHINE + "/", "id")
    assert (found.subscription, found.resource_group, found.name) == (SUBSCRIPTION, "rg1", "web-1")
    assert found.text == MACHINE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "web-1",
        MACHINE[1:],
        "/" + MACHINE,
        MACHINE + "/extensions/x",
        MACHINE.replace("virtualMachines", "virtualMachineScaleSets"),
        MACHINE.replace("Microsoft.Compute", "Microsoft-Compute"),
        MACHINE.replace("Microsoft.Compute", "MicrosoftxCompute"),
        MACHINE.replace("subscriptions", "ſubscriptions"),
        MACHINE.replace(SUBSCRIPTION, "my-subscription"),
        MACHINE.replace(SUBSCRIPTION, SUBSCRIPTION + "0"),
        MACHINE.replace("/rg1/", "//"),
        MACHINE.replace("/rg1/", "/r g/"),
        MACHINE.replace("/rg1/", "/" + "g" * 91 + "/"),
        MACHINE.replace("web-1", "web 1"),
        MACHINE.replace("web-1", "web\n1"),
        MACHINE + "\n",
        MACHINE.replace("web-1", "web\x001"),
        MACHINE.replace("web-1", "web\x851"),
        MACHINE.replace("web-1", "web?1"),
        MACHINE.replace("web-1", "web#1"),
        MACHINE.replace("web-1", "%2e%2e"),
        MACHINE.replace("web-1", "<web>"),
        MACHINE.replace("web-1", "w" * 261),
        # Invisible, or reads from right to left: somebody would approve another machine than it looks like.
        MACHINE.replace("web-1", "web\N{ZERO WIDTH SPACE}-1"),
        MACHINE.replace("web-1", "web\N{RIGHT-TO-LEFT OVERRIDE}1-dorp"),
        MACHINE.replace("web-1", "web\ud800"),
        "/subscriptions/" * 500,
    ],
    ids=shown,
)
def test_what_is_no_machine_id_is_refused_with_its_field_and_the_form(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_machine_id(text, "virtualMachines[1].id")
    assert refusal.value.reason.field == "virtualMachines[1].id"
    assert refusal.value.reason.allowed
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("value", [None, 1, True, b"/", ["/"], {}])
def test_what_is_no_text_is_no_machine_id(value: object) -> None:
    with pytest.raises(Invalid):
        parse_machine_id(value, "id")


def test_names_longer_than_fifty_six_characters_simply_work() -> None:
    """Case PV5."""
    name = "machine-with-a-name-that-tells-everything-about-where-it-stands-and-what-for"
    assert parse_machine_id(MACHINE.replace("web-1", name), "id").name == name
    assert resource_id.check_name(name, "name") == name


@pytest.mark.parametrize("written", ["West Europe", "westeurope", "WESTEUROPE", "west europe"])
def test_a_location_is_one_with_and_without_spaces_and_capitals(written: str) -> None:
    """Case RA20."""
    assert resource_id.check_location(written) == "westeurope"


@pytest.mark.parametrize("written", ["", " ", "west/europe", "..%2f", "a" * 300])
def test_what_is_no_location_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        resource_id.check_location(written)


def test_two_spellings_of_a_policy_are_one_policy() -> None:
    one = PolicyId(SUBSCRIPTION, "RG1", "westeurope", "Default")
    other = PolicyId(SUBSCRIPTION.upper(), "rg1", "WestEurope", "default")
    assert one.key == other.key
    assert one.text != other.text
    assert one.group_key == resource_id.group_scope(SUBSCRIPTION, "rg1") == key(GROUP)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("strasse", "straße"),
        ("k8s", "\N{KELVIN SIGN}8s"),
        ("ssh", "\N{LATIN SMALL LETTER LONG S}sh"),
        ("istanbul", "\N{LATIN SMALL LETTER DOTLESS I}stanbul"),
        ("istanbul", "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}stanbul"),
        ("office", "o\N{LATIN SMALL LIGATURE FFI}ce"),
        ("web1", "web\N{FULLWIDTH DIGIT ONE}"),
        ("web1", "web\N{SUPERSCRIPT ONE}"),
    ],
)
def test_no_letter_outside_ascii_is_taken_for_one_inside(one: str, other: str) -> None:
    assert key(one) != key(other)


@pytest.mark.parametrize(("one", "other"), [("ÄRZTE", "ärzte"), ("ΣΑΣ", "σας"), ("ЖУК", "жук")])
def test_case_does_not_count_outside_ascii_either(one: str, other: str) -> None:
    """A guardrail on a group must cover its machines in whatever case a cloud names them."""
    assert key(one) == key(other)


def test_folding_twice_is_folding_once_for_every_letter() -> None:
    letters = map(chr, range(sys.maxunicode + 1))
    assert not [letter for letter in letters if key(key(letter)) != key(letter)]


def test_every_letter_folds_to_one_letter_on_its_own_side_of_ascii() -> None:
    letters = map(chr, range(sys.maxunicode + 1))
    assert not [a for a in letters if len(key(a)) != 1 or key(a).isascii() != a.isascii()]


@pytest.mark.parametrize(
    ("scope", "resource", "held"),
    [
        ("/", MACHINE, True),
        ("/", "/", True),
        (f"/subscriptions/{SUBSCRIPTION}", MACHINE, True),
        (GROUP, MACHINE, True),
        (GROUP + "/", MACHINE, True),
        (GROUP.upper(), MACHINE.lower(), True),
        (MACHINE, MACHINE, True),
        (MACHINE, MACHINE + "/", True),
        (MACHINE, GROUP, False),
        (GROUP, "/", False),
        (GROUP, MACHINE.replace("/rg1/", "/rg10/"), False),
        (GROUP + "0", MACHINE, False),
        (MACHINE, MACHINE + "0", False),
        (MACHINE[:-1], MACHINE, False),
        ("", MACHINE, False),
        ("", "", False),
        ("subscriptions", MACHINE, False),
        (GROUP[1:], MACHINE, False),
    ],
)
def test_a_scope_holds_itself_and_what_is_below_it_and_no_sibling(scope: str, resource: str, *, held: bool) -> None:
    assert covers(scope, resource) is held


segments = st.lists(st.sampled_from(["a", "A", "ab", "b", "rg1", "rg10"]), max_size=4)


@given(segments, segments)
def test_a_scope_holds_exactly_the_paths_that_begin_with_its_segments(scope: list[str], resource: list[str]) -> None:
    begins = [part.lower() for part in resource[: len(scope)]] == [part.lower() for part in scope]
    assert covers("/" + "/".join(scope), "/" + "/".join(resource)) is begins
