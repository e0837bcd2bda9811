"""From the contract's JSON to asks and policies: what is read, what is refused, and how the refusal names the field."""

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.core.access import Ask, PortAsk, Span
from jitgate.core.desired import Protocol
from jitgate.core.duration import parse as duration
from jitgate.core.errors import Invalid
from jitgate.core.policy import Policy
from jitgate.core.prefixes import ANYWHERE, Prefix
from jitgate.core.resource_id import PolicyId
from jitgate.service.views import PolicyView
from jitgate.web import body
from jitgate.web.arm.parse import parse_ask, parse_policy, parse_time
from jitgate.web.arm.render import render_policy, render_time
from jitgate.web.errors import encode

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
VM = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
POLICY = PolicyId(SUBSCRIPTION, "g", "westeurope", "default")
CALLER = Prefix("198.51.100.1/32")
PORT = {"number": 22, "allowedSourceAddressPrefix": "203.0.113.7", "endTimeUtc": "2030-01-01T10:00:00Z"}
RULE = {"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "*", "maxRequestAccessDuration": "PT3H"}


def received(value: object) -> Any:
    """As the routes hand a body on: over the wire, with names folded."""
    return body.parse(encode(value), fold_names=True)


def ask(*ports: Mapping[str, Any], caller: Prefix | None = CALLER, **more: Any) -> Ask:
    machines = [{"id": VM, "ports": list(ports)}]
    return parse_ask(received({"virtualMachines": machines, **more}), caller)


def asked_port(**changes: Any) -> PortAsk:
    """A good port with changes; None takes a property away."""
    port = {name: value for name, value in {**PORT, **changes}.items() if value is not None}
    return ask(port).machines[0].ports[0]


def policy(*rules: Mapping[str, Any], longest: timedelta = timedelta(days=1), **more: Any) -> Policy:
    properties = {"virtualMachines": [{"id": VM, "ports": list(rules)}]}
    return parse_policy(received({"kind": "Basic", "properties": properties, **more}), POLICY, longest)


def rule(**changes: Any) -> Policy:
    return policy({name: value for name, value in {**RULE, **changes}.items() if value is not None})


# --- initiate ----------------------------------------------------------------------------------------


def test_an_end_is_read_to_the_microsecond_and_never_later() -> None:
    span = asked_port(endTimeUtc="2022-11-17T11:44:50.5921819Z").span
    assert span == Span(end=datetime(2022, 11, 17, 11, 44, 50, 592181, UTC))


@pytest.mark.parametrize("text", ["2030-01-01T10:00:00Z", "2030-01-01T11:30:00+01:30", "2030-01-01t10:00:00.000z"])
def test_an_end_with_an_offset_is_the_same_moment(text: str) -> None:
    assert asked_port(endTimeUtc=text).span == Span(end=datetime(2030, 1, 1, 10, tzinfo=UTC))


def test_a_duration_may_stand_instead_of_an_end_and_keeps_its_text() -> None:
    """Case RA1."""
    span = asked_port(endTimeUtc=None, duration="PT24H").span
    assert span == Span(duration=duration("PT24H", ""))


@pytest.mark.parametrize("changes", [{"endTimeUtc": None}, {"duration": "PT1H"}])
def test_neither_end_nor_duration_and_both_are_the_contracts_own_error(changes: Mapping[str, Any]) -> None:
    """Cases RA2 and RA15."""
    with pytest.raises(Invalid) as raised:
        asked_port(**changes)
    assert raised.value.code == "InvalidInitiateInput"
    assert raised.value.reason.field == "virtualMachines[0].ports[0].endTimeUtc"


def test_a_list_of_sources_is_taken_on_initiate() -> None:
    """Case RA3."""
    port = asked_port(allowedSourceAddressPrefix=None, allowedSourceAddressPrefixes=["203.0.113.7", "2001:db8::/64"])
    assert port.sources == (Prefix("203.0.113.7/32"), Prefix("2001:db8::/64"))
    assert port.source_texts == ("203.0.113.7", "2001:db8::/64")


@pytest.mark.parametrize(
    "text", ["203.0.113.7 198.51.100.0/24", "203.0.113.7,198.51.100.0/24", " 203.0.113.7,  198.51.100.0/24 "]
)
def test_several_sources_in_one_text_are_split(text: str) -> None:
    """Case RA20: PowerShell joins an array with spaces, the portal with commas."""
    port = asked_port(allowedSourceAddressPrefix=text)
    assert port.sources == (Prefix("198.51.100.0/24"), Prefix("203.0.113.7/32"))
    assert port.source_texts == text


def test_a_source_that_is_left_out_is_the_callers_address() -> None:
    port = asked_port(allowedSourceAddressPrefix=None)
    assert (port.sources, port.source_texts) == ((CALLER,), None)


def test_a_source_that_is_left_out_where_no_address_shows_is_refused() -> None:
    port = {name: value for name, value in PORT.items() if name != "allowedSourceAddressPrefix"}
    with pytest.raises(
        Invalid, match=r"virtualMachines\[0\]\.ports\[0\]\.allowedSourceAddressPrefix: no source is given"
    ):
        ask(port, caller=None)


def test_names_are_read_in_any_case_so_that_a_source_never_counts_as_left_out() -> None:
    port = {name.upper(): value for name, value in PORT.items()}
    assert ask(port).machines[0].ports[0].sources == (Prefix("203.0.113.7/32"),)


def test_a_port_number_may_be_a_text_of_digits() -> None:
    """Case RA8."""
    assert asked_port(number="22").number == 22


def test_the_justification_and_the_machines_text_are_kept() -> None:
    found = ask(PORT, justification="INC-7")
    assert (found.justification, found.machines[0].id.text, found.caller) == ("INC-7", VM, CALLER)


def test_unknown_properties_are_ignored() -> None:
    assert ask({**PORT, "colour": "red"}, startTimeUtc="whenever").machines[0].ports[0].number == 22


BAD_PORTS: list[tuple[dict[str, Any], str]] = [
    ({"number": None}, "number"),
    ({"number": 0}, "number"),
    ({"number": 65536}, "number"),
    ({"number": -1}, "number"),
    ({"number": 22.5}, "number"),
    ({"number": True}, "number"),
    ({"number": "ssh"}, "number"),
    ({"number": "022222"}, "number"),
    ({"number": "２２"}, "number"),
    ({"number": [22]}, "number"),
    ({"number": 10**300}, "number"),
    ({"allowedSourceAddressPrefix": ""}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": "10.0.0.0/33"}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": "10.0.0.0/64 "}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": "10.0.0.1/2001:db8::"}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": "2001:db8::/10.0.0.1"}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": "10.0.0.1-10.0.0.9"}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": "fe80::1%eth0"}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": "example.com"}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": "203.0.113.7,,198.51.100.1x"}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": 7}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": ["203.0.113.7"]}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefixes": ["203.0.113.7"]}, "allowedSourceAddressPrefixes"),
    ({"allowedSourceAddressPrefix": None, "allowedSourceAddressPrefixes": []}, "allowedSourceAddressPrefixes"),
    ({"allowedSourceAddressPrefix": None, "allowedSourceAddressPrefixes": "x"}, "allowedSourceAddressPrefixes"),
    ({"allowedSourceAddressPrefix": None, "allowedSourceAddressPrefixes": [7]}, "allowedSourceAddressPrefixes"),
    (
        {"allowedSourceAddressPrefix": None, "allowedSourceAddressPrefixes": ["::1", "x"]},
        "allowedSourceAddressPrefixes[1]",
    ),
    ({"endTimeUtc": 7}, "endTimeUtc"),
    ({"endTimeUtc": ""}, "endTimeUtc"),
    ({"endTimeUtc": "2030-01-01"}, "endTimeUtc"),
    ({"endTimeUtc": "2030-01-01T10:00:00"}, "endTimeUtc"),
    ({"endTimeUtc": "2030-13-01T10:00:00Z"}, "endTimeUtc"),
    ({"endTimeUtc": "9999-12-31T23:59:59-01:00"}, "endTimeUtc"),
    ({"endTimeUtc": "0001-01-01T00:00:00+01:00"}, "endTimeUtc"),
    ({"endTimeUtc": "2030-01-01T10:00:00+99:99"}, "endTimeUtc"),
    ({"endTimeUtc": None, "duration": "3 hours"}, "duration"),
    ({"endTimeUtc": None, "duration": 3600}, "duration"),
    ({"endTimeUtc": None, "duration": "P1Y"}, "duration"),
    ({"endTimeUtc": None, "duration": "PT" + "9" * 100 + "H"}, "duration"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_PORTS)
def test_a_bad_port_is_refused_by_the_name_of_its_field_and_with_what_would_do(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as raised:
        asked_port(**changes)
    assert raised.value.reason.field == f"virtualMachines[0].ports[0].{field}"
    assert raised.value.reason.allowed


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "body"),
        ([], "body"),
        ("x", "body"),
        ({}, "virtualMachines"),
        ({"virtualMachines": {}}, "virtualMachines"),
        ({"virtualMachines": [[]]}, "virtualMachines[0]"),
        ({"virtualMachines": [{"ports": [PORT]}]}, "virtualMachines[0].id"),
        ({"virtualMachines": [{"id": 7, "ports": [PORT]}]}, "virtualMachines[0].id"),
        ({"virtualMachines": [{"id": "web-1", "ports": [PORT]}]}, "virtualMachines[0].id"),
        ({"virtualMachines": [{"id": VM}]}, "virtualMachines[0].ports"),
        ({"virtualMachines": [{"id": VM, "ports": "22"}]}, "virtualMachines[0].ports"),
        ({"virtualMachines": [{"id": VM, "ports": [22]}]}, "virtualMachines[0].ports[0]"),
        ({"virtualMachines": [{"id": VM, "ports": [PORT] * 201}]}, "virtualMachines[0].ports"),
        ({"virtualMachines": [{"id": VM, "ports": []}] * 501}, "virtualMachines"),
        ({"virtualMachines": [{"id": VM, "ports": [PORT]}], "justification": ["x"]}, "justification"),
    ],
)
def test_a_body_of_the_wrong_shape_is_refused_by_the_name_of_its_field(value: object, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_ask(received(value), CALLER)
    assert raised.value.reason.field == field


# --- policies ----------------------------------------------------------------------------------------


def test_a_policy_keeps_every_text_as_it_was_written() -> None:
    """Case RA7."""
    odd = VM.replace("resourceGroups", "resourcegroups").replace("Compute", "compute")
    rules = [
        {**RULE, "maxRequestAccessDuration": "PT24H", "allowedSourceAddressPrefix": "10.0.0.1/8"},
        {"number": 53, "protocol": "udp", "allowedSourceAddressPrefixes": ["::1"], "maxRequestAccessDuration": "P1D"},
    ]
    machines = [{"id": odd, "ports": rules, "publicIpAddress": "203.0.113.1"}]
    wanted = {"kind": "Basic", "properties": {"virtualMachines": machines}}
    found = parse_policy(received(wanted), POLICY, timedelta(days=1))
    expected = copy.deepcopy(machines)
    expected[0]["ports"][1]["protocol"] = "UDP"  # type: ignore[index]
    assert render_policy(PolicyView(found, (), settled=True))["properties"]["virtualMachines"] == expected


def test_what_the_contract_marks_read_only_is_ignored() -> None:
    """Case RA6: requests in a PUT forge nothing."""
    forged = {"requests": [{"anything": 1}], "provisioningState": 7, "virtualMachines": [{"id": VM, "ports": [RULE]}]}
    more = {"id": "x", "name": 7, "type": [], "location": None, "tags": {}}
    assert parse_policy(received({**more, "properties": forged}), POLICY, timedelta(days=1)) == policy(RULE)


def test_any_source_is_every_address_of_both_families() -> None:
    assert rule().machines[0].ports[0].sources == ANYWHERE


@pytest.mark.parametrize("text", ["TCP", "tcp", "Tcp"])
def test_a_protocol_is_read_in_any_case(text: str) -> None:
    assert rule(protocol=text).machines[0].ports[0].protocol is Protocol.TCP


def test_a_policy_without_machines_is_one() -> None:
    assert parse_policy(received({"properties": {"virtualMachines": []}}), POLICY, timedelta(days=1)).machines == ()


BAD_RULES: list[tuple[dict[str, Any], str]] = [
    ({"number": 0}, "number"),
    ({"number": 65536}, "number"),
    ({"number": None}, "number"),
    ({"protocol": ""}, "protocol"),
    ({"protocol": "ICMP"}, "protocol"),
    ({"protocol": 6}, "protocol"),
    ({"protocol": None}, "protocol"),
    ({"allowedSourceAddressPrefix": None}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefix": "any"}, "allowedSourceAddressPrefix"),
    ({"allowedSourceAddressPrefixes": ["*"]}, "allowedSourceAddressPrefixes"),
    ({"maxRequestAccessDuration": None}, "maxRequestAccessDuration"),
    ({"maxRequestAccessDuration": ""}, "maxRequestAccessDuration"),
    ({"maxRequestAccessDuration": 3}, "maxRequestAccessDuration"),
    ({"maxRequestAccessDuration": "PT4M59S"}, "maxRequestAccessDuration"),
    ({"maxRequestAccessDuration": "PT24H1S"}, "maxRequestAccessDuration"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_RULES)
def test_a_bad_rule_is_refused_by_the_name_of_its_field_and_with_what_would_do(
    changes: dict[str, Any], field: str
) -> None:
    """Cases PV3 and RA14."""
    with pytest.raises(Invalid) as raised:
        rule(**changes)
    assert raised.value.reason.field == f"properties.virtualMachines[0].ports[0].{field}"
    assert raised.value.reason.allowed


@pytest.mark.parametrize(("first", "second"), [("TCP", "TCP"), ("TCP", "*"), ("*", "UDP")])
def test_a_port_that_stands_twice_in_a_policy_is_refused(first: str, second: str) -> None:
    with pytest.raises(Invalid, match=r"properties\.virtualMachines\[0\]\.ports\[1\]\.number: port 22"):
        policy({**RULE, "protocol": first}, {**RULE, "protocol": second})


def test_a_machine_that_stands_twice_in_a_policy_is_refused_in_any_case() -> None:
    machines = [{"id": VM, "ports": [RULE]}, {"id": VM.upper(), "ports": [RULE]}]
    with pytest.raises(Invalid, match=r"properties\.virtualMachines\[1\]\.id"):
        parse_policy(received({"properties": {"virtualMachines": machines}}), POLICY, timedelta(days=1))


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "properties"),
        ({"properties": 7}, "properties"),
        ({"properties": {}}, "properties.virtualMachines"),
        ({"properties": {"virtualMachines": None}}, "properties.virtualMachines"),
        ({"properties": {"virtualMachines": [{"id": VM, "ports": []}]}}, "properties.virtualMachines[0].ports"),
        ({"kind": 7, "properties": {"virtualMachines": []}}, "kind"),
        ({"kind": "x" * 61, "properties": {"virtualMachines": []}}, "kind"),
    ],
)
def test_a_policy_of_the_wrong_shape_is_refused_by_the_name_of_its_field(value: object, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_policy(received(value), POLICY, timedelta(days=1))
    assert raised.value.reason.field == field


@pytest.mark.parametrize("text", ["", "x", "203.0.113.0/24", 7])
def test_a_firewalls_address_must_be_one_address(text: object) -> None:
    machines = [{"id": VM, "ports": [RULE], "publicIpAddress": text}]
    with pytest.raises(Invalid) as raised:
        parse_policy(received({"properties": {"virtualMachines": machines}}), POLICY, timedelta(days=1))
    assert raised.value.reason.field == "properties.virtualMachines[0].publicIpAddress"


def test_the_installation_says_how_long_a_policy_may_allow_at_most() -> None:
    """Case PV11."""
    long = {**RULE, "maxRequestAccessDuration": "P3D"}
    assert policy(long, longest=timedelta(days=7)).machines[0].ports[0].max_duration.text == "P3D"
    with pytest.raises(Invalid, match="maxRequestAccessDuration"):
        policy(RULE, longest=timedelta(hours=1))


# --- whatever comes ----------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NEARLY_A_PORT = st.fixed_dictionaries(
    {},
    optional={
        "number": ANYTHING | st.integers(-1, 65536),
        "protocol": ANYTHING | st.sampled_from(["TCP", "UDP", "*"]),
        "allowedSourceAddressPrefix": ANYTHING | st.ip_addresses().map(str) | st.text("0123456789abcdef.:/ ,*"),
        "allowedSourceAddressPrefixes": ANYTHING | st.lists(ANYTHING | st.ip_addresses().map(str)),
        "endTimeUtc": ANYTHING | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
        "duration": ANYTHING | st.text("PTDHMS0123456789.", max_size=12),
        "maxRequestAccessDuration": ANYTHING | st.sampled_from(["PT3H", "P1D"]),
    },
)
NEARLY_MACHINES = st.lists(
    st.fixed_dictionaries(
        {}, optional={"id": ANYTHING | st.just(VM), "ports": ANYTHING | st.lists(NEARLY_A_PORT, max_size=3)}
    ),
    max_size=3,
)


@given(
    ANYTHING
    | st.fixed_dictionaries({"virtualmachines": ANYTHING | NEARLY_MACHINES}, optional={"justification": ANYTHING})
)
def test_whatever_is_sent_is_an_ask_with_an_end_on_every_port_or_invalid_with_a_field(value: Any) -> None:
    try:
        found = parse_ask(value, CALLER)
    except Invalid as error:
        assert error.reason.field  # noqa: PT017 - both outcomes are fine
        return
    for _, port in found.ports():
        assert port.sources
        assert port.span is not None
        assert (port.span.end is None) != (port.span.duration is None)


@given(
    ANYTHING
    | st.fixed_dictionaries({"properties": st.fixed_dictionaries({"virtualmachines": ANYTHING | NEARLY_MACHINES})})
)
def test_whatever_is_put_is_a_policy_that_reads_back_or_invalid_with_a_field(value: Any) -> None:
    try:
        found = parse_policy(value, POLICY, timedelta(days=1))
    except Invalid as error:
        assert error.reason.field  # noqa: PT017 - both outcomes are fine
        return
    again = received(render_policy(PolicyView(found, (), settled=True)))
    assert parse_policy(again, POLICY, timedelta(days=1)) == found


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_that_is_written_reads_back(moment: datetime) -> None:
    assert parse_time(render_time(moment), "endTimeUtc") == moment
