"""From the words of the core to the contract's JSON."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.core.examples import make_policy

from jitgate.core import duration
from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.prefixes import Prefix
from jitgate.service.views import GrantView, PolicyView, RequestView
from jitgate.web.arm.render import render_policy, render_request, render_time, status

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GRANT = Grant(
    uid="g1",
    request="r1",
    principal="p1",
    machine="m1",
    scope="s1",
    port=22,
    protocol=Protocol.TCP,
    sources=(Prefix("203.0.113.7/32"),),
    session=SessionEnd.KEEP,
    state=State.OPENING,
    asked_at=NOW,
    since=NOW,
    end=NOW + HOUR,
)
VIEW = GrantView(GRANT, "r1", "/vm/One", "one", "alice", "", NOW, source_texts="203.0.113.7")


def rendered(*grants: GrantView, **changes: object) -> dict[str, object]:
    view = RequestView("r1", "alice", "", NOW, None, 0, grants)
    return render_request(replace(view, **changes))  # type: ignore[arg-type]


def port(grant: GrantView) -> dict[str, object]:
    machines = rendered(grant)["virtualMachines"]
    assert isinstance(machines, list)
    found: dict[str, object] = machines[0]["ports"][0]
    return found


def test_a_request_looks_as_the_real_service_writes_it() -> None:
    assert rendered(VIEW) == {
        "virtualMachines": [
            {
                "id": "/vm/One",
                "ports": [
                    {
                        "number": 22,
                        "allowedSourceAddressPrefix": "203.0.113.7",
                        "endTimeUtc": "2030-01-01T13:00:00.0000000Z",
                        "status": "Initiating",
                        "statusReason": "UserRequested",
                    }
                ],
            }
        ],
        "startTimeUtc": "2030-01-01T12:00:00.0000000Z",
        "requestor": "alice",
    }


@pytest.mark.parametrize(
    ("state", "reason", "successor", "expected"),
    [
        (State.PENDING, None, None, ("Initiating", "UserRequested")),
        (State.SCHEDULED, None, None, ("Initiating", "UserRequested")),
        (State.OPENING, None, None, ("Initiating", "UserRequested")),
        (State.OPEN, None, None, ("Initiated", "UserRequested")),
        (State.OPEN, None, "newer", ("Revoked", "NewerRequestInitiated")),
        (State.OPENING, None, "newer", ("Revoked", "NewerRequestInitiated")),
        (State.CLOSED, CloseReason.SUPERSEDED, "newer", ("Revoked", "NewerRequestInitiated")),
        (State.CLOSING, CloseReason.SUPERSEDED, None, ("Revoked", "NewerRequestInitiated")),
        (State.CLOSING, CloseReason.EXPIRED, None, ("Revoked", "Expired")),
        (State.CLOSED, CloseReason.EXPIRED, None, ("Revoked", "Expired")),
        (State.CLOSED, CloseReason.APPROVAL_TIMED_OUT, None, ("Revoked", "Expired")),
        *(
            (State.CLOSED, reason, None, ("Revoked", "UserRequested"))
            for reason in CloseReason
            if reason not in (CloseReason.SUPERSEDED, CloseReason.EXPIRED, CloseReason.APPROVAL_TIMED_OUT)
        ),
    ],
)
def test_every_state_has_its_two_words_in_the_contract(
    state: State, reason: CloseReason | None, successor: str | None, expected: tuple[str, str]
) -> None:
    """Cases RA9 and RA17."""
    assert status(replace(GRANT, state=state, reason=reason, successor=successor)) == expected


@pytest.mark.parametrize(
    ("sources", "texts", "expected"),
    [
        (("203.0.113.0/24",), "203.0.113.9/24", {"allowedSourceAddressPrefix": "203.0.113.9/24"}),
        (("203.0.113.7/32",), ("203.0.113.7",), {"allowedSourceAddressPrefixes": ["203.0.113.7"]}),
        (("203.0.113.7/32",), None, {"allowedSourceAddressPrefix": "203.0.113.7"}),
        (("2001:db8::/64",), None, {"allowedSourceAddressPrefix": "2001:db8::/64"}),
        (("203.0.113.7/32", "::1/128"), None, {"allowedSourceAddressPrefixes": ["203.0.113.7", "::1"]}),
    ],
)
def test_sources_are_shown_as_written_and_where_left_out_as_opened(
    sources: tuple[Prefix, ...], texts: str | tuple[str, ...] | None, expected: dict[str, object]
) -> None:
    shown = port(replace(VIEW, grant=replace(GRANT, sources=sources), source_texts=texts))
    assert {name: value for name, value in shown.items() if name.startswith("allowed")} == expected


def test_where_mapped_ports_are_is_shown_as_the_public_address() -> None:
    machine = make_policy().machines[0]
    view = PolicyView(make_policy(), (), settled=True, mapped_addresses={machine.id.key: "198.51.100.1"})
    [shown] = render_policy(view)["properties"]["virtualMachines"]
    assert shown["publicIpAddress"] == "198.51.100.1"
    [shown] = render_policy(PolicyView(make_policy(), (), settled=True))["properties"]["virtualMachines"]
    assert "publicIpAddress" not in shown


def test_a_mapped_port_is_shown_where_there_is_one() -> None:
    assert port(replace(VIEW, mapped_port=50022))["mappedPort"] == 50022
    assert "mappedPort" not in port(VIEW)


def test_a_length_that_does_not_run_yet_shows_the_latest_end_it_can_have() -> None:
    waiting = replace(
        GRANT, state=State.PENDING, end=None, duration=duration.parse("PT1H", ""), wait_until=NOW + 24 * HOUR
    )
    scheduled = replace(waiting, state=State.SCHEDULED, wait_until=None, start=NOW + 2 * HOUR)
    assert port(replace(VIEW, grant=waiting))["endTimeUtc"] == render_time(NOW + 25 * HOUR)
    assert port(replace(VIEW, grant=scheduled))["endTimeUtc"] == render_time(NOW + 3 * HOUR)


def test_a_scheduled_request_shows_when_it_starts() -> None:
    assert rendered(VIEW, start=NOW + HOUR)["startTimeUtc"] == render_time(NOW + HOUR)


def test_a_justification_is_shown_where_there_is_one() -> None:
    """Requestor is never missing (case RA16)."""
    assert rendered(VIEW, justification="INC-7")["justification"] == "INC-7"
    assert rendered(VIEW, requestor="")["requestor"] == ""
    assert "justification" not in rendered(VIEW)


def test_ports_are_gathered_by_machine_and_one_number_is_listed_once() -> None:
    udp = replace(VIEW, grant=replace(GRANT, uid="g2", protocol=Protocol.UDP))
    other_port = replace(VIEW, grant=replace(GRANT, uid="g3", port=443))
    other_machine = replace(VIEW, machine_id="/vm/Two")
    machines = rendered(VIEW, udp, other_machine, other_port)["virtualMachines"]
    assert isinstance(machines, list)
    shown = [(machine["id"], [port["number"] for port in machine["ports"]]) for machine in machines]
    assert shown == [("/vm/One", [22, 443]), ("/vm/Two", [22])]


def test_one_number_is_listed_twice_where_its_protocols_have_parted() -> None:
    """One of two protocols failed: a reader must not be told of the other alone."""
    failed = replace(GRANT, uid="g2", protocol=Protocol.UDP, state=State.CLOSED, reason=CloseReason.FAILED)
    machines = rendered(VIEW, replace(VIEW, grant=failed))["virtualMachines"]
    assert isinstance(machines, list)
    assert [port["status"] for port in machines[0]["ports"]] == ["Initiating", "Revoked"]
