"""What a form says of each port, and how long can be chosen."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.house import machine

from jitgate.core import prefixes
from jitgate.core.access import Ask
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.errors import Invalid
from jitgate.core.prefixes import ANYWHERE
from jitgate.core.roles import Principal
from jitgate.service.base import Asker
from jitgate.service.offers import Offer, PortOffer
from jitgate.web.portal import wish
from jitgate.web.portal.wish import Slider

ASKER = Asker(Principal("u", "ann"), address=prefixes.of_address("203.0.113.7"))
FOR_ALL = {"source": "mine", "ranges": "", "minutes": "60"}


def offer(name: str, *limits: int) -> Offer:
    """Ports from 1 on, each with its longest time in minutes."""
    ports = [
        PortOffer(at, Protocol.ANY, timedelta(minutes=most), ANYWHERE, SessionEnd.KEEP, 0, False, False)
        for at, most in enumerate(limits, 1)
    ]
    return Offer(machine(name), tuple(ports))


def asked(form: dict[str, str], *offers: Offer) -> list[tuple[str, int, list[str], float]]:
    """Machine, port, sources and minutes of what a form asks for."""
    ask: Ask = wish.ask_of(wish.of_form({**FOR_ALL, **form}, offers), offers, ASKER)
    return [
        (one.id.name, port.number, [prefixes.text(each) for each in port.sources], _minutes(port.span))
        for one, port in ask.ports()
    ]


def _minutes(span: object) -> float:
    return float(span.duration.length / timedelta(minutes=1))  # type: ignore[attr-defined]


def test_a_port_has_what_is_said_for_all_unless_it_has_its_own() -> None:
    form = {"port.0.1.any": "on", "port.1.1.any": "on", "port.1.2.any": "on", "own.1.2.any": "on"}
    own = {"source.1.2.any": "ranges", "ranges.1.2.any": "198.51.100.0/24, 192.0.2.1", "minutes.1.2.any": "45"}
    not_ticked = {"source.0.1.any": "ranges", "ranges.0.1.any": "10.0.0.0/8", "minutes.0.1.any": "15"}
    assert asked({**form, **own, **not_ticked}, offer("a", 180), offer("b", 30, 180)) == [
        ("a", 1, ["203.0.113.7"], 60),
        ("b", 1, ["203.0.113.7"], 30),
        ("b", 2, ["192.0.2.1", "198.51.100.0/24"], 45),
    ]


def test_what_is_wrong_with_a_port_of_its_own_counts_only_where_it_is_switched_on() -> None:
    wrong = {"own.0.2.any": "on", "source.0.2.any": "ranges", "ranges.0.2.any": "300.1.1.1", "minutes.0.2.any": "45"}
    assert asked({"port.0.1.any": "on", **wrong}, offer("a", 180, 180)) == [("a", 1, ["203.0.113.7"], 60)]
    with pytest.raises(Invalid, match=r"300\.1\.1\.1"):
        asked({"port.0.2.any": "on", **wrong}, offer("a", 180, 180))
    with pytest.raises(Invalid, match="length of time"):
        asked({"port.0.2.any": "on", **wrong, "minutes.0.2.any": "1e9"}, offer("a", 180, 180))


@given(st.integers(1, 24 * 60 * 60))
def test_the_longest_time_can_be_chosen_whatever_it_is(seconds: int) -> None:
    slider = Slider(timedelta(seconds=seconds))
    assert 0 < slider.least <= slider.most
    assert (slider.most - slider.least) % slider.step == 0
    assert timedelta(0) <= timedelta(minutes=slider.most) - slider.longest < timedelta(minutes=1)
