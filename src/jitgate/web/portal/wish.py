"""What somebody wants, as a form or a link says it, and the ask that becomes of it.

A link: ``/request?machine=web-1&port=22&for=2h&from=203.0.113.7&why=INC-7``; each of `machine`, `port` and `from` may
stand several times. In a link as in a form, from where and for how long holds for all ports at once, but for those that
have their own: ``port=3389,for=30m,from=mine``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil

from starlette.datastructures import QueryParams

from jitgate.core import duration, prefixes, resource_id
from jitgate.core.access import Ask, MachineAsk, PortAsk, Span, check_ask
from jitgate.core.desired import Protocol
from jitgate.core.duration import Duration
from jitgate.core.errors import Invalid
from jitgate.core.prefixes import Prefix
from jitgate.service.base import Asker
from jitgate.service.offers import Offer, PortOffer
from jitgate.service.views import GrantView

MOST_MACHINES = 50
FIRST_LENGTH = timedelta(hours=1)
_LONGEST_TEXT = 4000


@dataclass(frozen=True, slots=True)
class Extent:
    """From where, and for how long: for the address that the call comes from (`mine`), else for `ranges`, as typed."""

    length: timedelta
    mine: bool = True
    ranges: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted.

    `ports`  those that are switched on, as `key_of` names them
    `own`    by the same names what ports have of their own; the others have `extent`
    """

    ports: frozenset[str]
    extent: Extent
    own: Mapping[str, Extent] = field(default_factory=dict)
    why: str = ""
    emergency: bool = False

    def of(self, key: str) -> Extent:
        """What is wanted of a port."""
        return self.own.get(key, self.extent)


@dataclass(frozen=True, slots=True)
class Slider:
    """The minutes that can be chosen: in quarters of an hour, or finer so that the longest time is among them."""

    longest: timedelta

    @property
    def most(self) -> int:
        return ceil(self.longest / timedelta(minutes=1))

    @property
    def step(self) -> int:
        return next((step for step in (15, 5) if self.most % step == 0 and self.most >= 2 * step), 1)

    @property
    def least(self) -> int:
        return min(15 if self.step == 15 or self.most >= 60 else 5, self.most)


def key_of(at: int, port: PortOffer) -> str:
    """The name of a port in a form, `at` being the position of its machine: short, since a form can have hundreds."""
    return f"{at}.{port.number}.{'any' if port.protocol is Protocol.ANY else port.protocol}"


def ports_of(offers: Sequence[Offer]) -> Iterator[tuple[str, Offer, PortOffer]]:
    """Every port that is offered, under its name."""
    for at, offer in enumerate(offers):
        for port in offer.ports:
            yield key_of(at, port), offer, port


def machines_of(query: QueryParams) -> list[str]:
    """The machines that a link names. Raises Invalid."""
    names = list(dict.fromkeys(query.getlist("machine")))
    if len(names) > MOST_MACHINES:
        raise Invalid("machine", f"{len(names)} machines are named", allowed=f"at most {MOST_MACHINES} at once")
    return names


def of_link(query: QueryParams, offers: Sequence[Offer], asker: Asker) -> Wish:
    """What a link asks for; what it leaves open is one's own address, and the first port of each machine."""
    named = dict(_named(text) for text in query.getlist("port"))
    ports = {key: named[port.number] for key, _, port in ports_of(offers) if port.number in named}
    ports = ports or {key_of(at, offer.ports[0]): {} for at, offer in enumerate(offers) if offer.ports and not named}
    every = {"for": query.getlist("for"), "from": query.getlist("from")}
    return Wish(
        ports=frozenset(ports),
        extent=_linked(every, offers, asker),
        own={key: _linked(every | own, offers, asker) for key, own in ports.items() if own},
        why=query.get("why", "")[:_LONGEST_TEXT],
    )


def of_form(form: Mapping[str, str], offers: Sequence[Offer]) -> Wish:
    """What a form asks for. Raises Invalid."""
    keys = [key for key, _, _ in ports_of(offers)]
    return Wish(
        ports=frozenset(key for key in keys if form.get(f"port.{key}")),
        extent=_extent(form, ""),
        own={key: _extent(form, f".{key}") for key in keys if form.get(f"own.{key}")},
        why=form.get("why", ""),
        emergency=form.get("emergency") == "on",
    )


def ask_of(wish: Wish, offers: Sequence[Offer], asker: Asker) -> Ask:
    """The ask. A port whose limit is shorter than what is wanted is asked for as long as it may be. Raises Invalid."""
    asks: list[MachineAsk] = []
    for at, offer in enumerate(offers):
        wanted = [port for port in offer.ports if key_of(at, port) in wish.ports]
        where = f"machines[{len(asks)}]"
        ports = tuple(
            _port(port, wish.of(key_of(at, port)), asker, f"{where}.ports[{position}]")
            for position, port in enumerate(wanted)
        )
        if ports:
            asks.append(MachineAsk(resource_id.parse_machine_id(offer.machine.id, where), ports, where))
    if not asks:
        raise Invalid("ports", "no port is switched on", allowed="at least one")
    return check_ask(Ask(tuple(asks), wish.why.strip(), asker.address, None, wish.emergency))


def lengths(wish: Wish, offers: Sequence[Offer]) -> Mapping[tuple[str, int, Protocol], timedelta]:
    """By machine, port and protocol the length that is wanted."""
    return {
        (offer.machine.uuid, port.number, port.protocol): wish.of(key).length for key, offer, port in ports_of(offers)
    }


def longest(offers: Sequence[Offer]) -> timedelta:
    """The most that can be asked for of any port."""
    return max((port.longest for offer in offers for port in offer.ports), default=FIRST_LENGTH)


def again(view: GrantView) -> dict[str, str | int]:
    """The query of a link that asks for the same as a grant once more."""
    length = view.grant.duration.length if view.grant.duration else FIRST_LENGTH
    asked: dict[str, str | int] = {"machine": view.machine_id, "port": view.grant.port, "for": duration.iso(length)}
    return {**asked, **({"why": view.justification} if view.justification else {})}


def _named(text: str) -> tuple[int, dict[str, list[str]]]:
    """A port as a link names it, and what it has of its own: ``3389,for=30m,from=mine``. 0 if it is none."""
    number, *options = text[:_LONGEST_TEXT].split(",")
    own: dict[str, list[str]] = {}
    for name, _, value in (option.partition("=") for option in options):
        own.setdefault(name, []).append(value)
    return (int(number) if number.isascii() and number.isdigit() and len(number) <= 5 else 0), own


def _linked(said: Mapping[str, Sequence[str]], offers: Sequence[Offer], asker: Asker) -> Extent:
    """What a link says `for` how long, and `from` where."""
    ranges = ", ".join(text for text in said["from"] if text != "mine")
    return Extent(
        length=_length_of((said["for"] or [""])[0], offers),
        mine=not ranges and asker.address is not None,
        ranges=ranges[:_LONGEST_TEXT],
    )


def _length_of(text: str, offers: Sequence[Offer]) -> timedelta:
    """What a link says, as far as the slider goes."""
    try:
        wanted = duration.parse_short(text, "for").length if text else FIRST_LENGTH
    except Invalid:
        wanted = FIRST_LENGTH
    most = longest(offers)
    return max(timedelta(minutes=Slider(most).least), min(wanted, most))


def _extent(form: Mapping[str, str], suffix: str) -> Extent:
    minutes = form.get(f"minutes{suffix}", "")
    if not minutes.isascii() or not minutes.isdigit() or len(minutes) > 6:
        raise Invalid(f"minutes{suffix}", "that is not a length of time", allowed="a number of minutes")
    return Extent(
        length=timedelta(minutes=int(minutes)),
        mine=form.get(f"source{suffix}") == "mine",
        ranges=form.get(f"ranges{suffix}", ""),
    )


def _sources(extent: Extent, asker: Asker, field: str) -> tuple[Prefix, ...]:
    if extent.mine:
        if asker.address is None:
            raise Invalid(field, "the server cannot tell your address", allowed="addresses or ranges that you type")
        return (asker.address,)
    typed = extent.ranges[:_LONGEST_TEXT].replace(",", " ").split()
    if not typed:
        raise Invalid(field, "no source is typed", allowed="addresses or ranges such as 203.0.113.0/24")
    return prefixes.parse_all(typed, field)


def _port(port: PortOffer, extent: Extent, asker: Asker, field: str) -> PortAsk:
    length = min(extent.length, port.longest)
    sources = _sources(extent, asker, f"{field}.sources")
    texts = None if extent.mine else tuple(prefixes.text(source) for source in sources)
    span = Span(duration=Duration(duration.iso(length), length))
    return PortAsk(port.number, sources, span, port.protocol, texts, field)
