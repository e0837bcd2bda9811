"""The table as it stands in one namespace's kernel: built, adopted, changed, read back and put right."""

from collections.abc import Sequence
from dataclasses import dataclass

from jitgate.clock import Clock
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import nf_tables, observe, table
from jitgate.connectors.hosts.changes import Difference
from jitgate.connectors.hosts.mirror import Mirror
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.nft import Nft
from jitgate.connectors.hosts.observe import Elements, Structure
from jitgate.connectors.hosts.table import BOOT_TABLE, TABLE, Ports, Purpose, Slot
from jitgate.core.prefixes import Prefix

_TRANSACTION_SECONDS, _KEY_SECONDS = 0.002, 0.00002
"""What a transaction takes at most where nothing is in its way, and each key in it: twice what was measured."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What stood when the agent started. `told`: what was wrong with it."""

    ports: Ports
    elements: Elements
    told: list[str]


class KernelTable:
    """Not thread-safe. Everything raises ConnectorError, or OSError where the kernel cannot be read.

    `stands`  whether there is a table of ours
    `owned`   whether it is ours alone: a foreign flush leaves it, and a foreign edit is refused
    """

    def __init__(self, namespace: str | None, machine: str, always: tuple[Prefix, ...], clock: Clock) -> None:
        self.nft = Nft(namespace)
        self.reader = Reader(namespace)
        self.stands = False
        self.owned = False
        self._machine = machine
        self._always = always
        self._clock = clock
        self._slots: set[Slot] = set()
        self._shape: Structure | None = None

    def adopt(self) -> Adopted | None:
        """Take over what a former agent left, its elements with the time they have left. None if there is nothing."""
        if TABLE not in self.reader.tables():
            return None
        self.owned = self.nft.claim(TABLE)
        self.stands = True
        found = observe.read_structure(self.reader)
        if found.machine != self._machine:
            return Adopted(found.ports, Elements(), ["the table had been made for another machine"])
        ours = observe.slots_in(found.sets)
        elements = observe.read_elements(self.reader, ours, self._machine, self._clock.elapsed())
        self._slots = ours
        return Adopted(found.ports, elements, _what_is_wrong(found, ours, elements))

    def settle(self, adopted: Adopted, ports: Ports, mirror: Mirror) -> list[str]:
        """Make what was adopted what it must be, and say what was not."""
        if adopted.told:
            self.build(ports, mirror)
            return adopted.told
        self.nft.run(self._frame(self._slots) + table.set_ports(ports))
        self._remember(self._slots)
        return self._mend_elements(adopted.elements, mirror)

    def build(self, ports: Ports, mirror: Mirror) -> None:
        """Make the whole table as it must be, whatever stood before. No protected port is open meanwhile."""
        stood = TABLE in self.reader.tables()
        found = observe.read_structure(self.reader)
        self.owned = self.nft.claim(TABLE)
        first, *others = Difference(*(mirror.held(purpose) for purpose in Purpose)).batches()
        frame = [*self._frame(mirror.slots()), *table.set_ports(ports)]
        if stood:
            self._replace(found, frame, first)
        else:
            self._run(first, Mirror(), frame if self.owned else [f"add table inet {TABLE}", *frame])
        self.stands = True
        self._remember(mirror.slots())
        for each in others:
            self._run(each, Mirror())

    def change(self, difference: Difference, ports: Ports | None, mirror: Mirror) -> None:
        """Change elements, in one transaction with what it takes: sets for new prefix lengths, other ports."""
        fresh = difference.slots() - self._slots
        frame = self._frame(self._slots | fresh) if fresh else []
        changed_ports = table.set_ports(ports) if ports is not None else []
        self._run(difference, mirror, [*frame, *changed_ports])
        if frame or changed_ports:
            self._remember(self._slots | fresh)

    def remove(self) -> None:
        """Remove the table: everything is open. Does nothing if there is none."""
        if TABLE in self.reader.tables():
            self.nft.run([f"delete table inet {TABLE}"])
        self.stands = False
        self._slots = set()
        self._shape = None

    def remove_boot_table(self) -> None:
        """Remove what the boot unit loaded, if it did."""
        if BOOT_TABLE in self.reader.tables():
            self.nft.run([f"delete table inet {BOOT_TABLE}"])

    def shut_at_boot(self) -> Ports:
        """The ports that the boot unit's table shuts, while it stands."""
        return observe.read_ports(self.reader, BOOT_TABLE)

    def put_right(self, ports: Ports, mirror: Mirror, *, elements: bool) -> list[str]:
        """Read back, mend what differs, and say what did. `elements`: those too, which takes time with very many."""
        structure = observe.read_structure(self.reader)
        if structure != self._shape:
            told = _difference(structure, self._shape)
            self.build(ports, mirror)
            return told
        if not elements:
            return []
        found = observe.read_elements(self.reader, self._slots, self._machine, self._clock.elapsed())
        if found.unreadable:
            self.build(ports, mirror)
            return _unreadable(found)
        return self._mend_elements(found, mirror)

    def close(self) -> None:
        """Let go of the table, which stays as it is."""
        self.reader.close()
        self.nft.close()

    def _replace(self, found: Structure, frame: list[str], elements: Difference) -> None:
        sets = [name for name, shape in found.sets.items() if not shape.flags & nf_tables.SET_MAP]
        try:
            self._run(elements, Mirror(), [*table.empty(sets, (chain.name for chain in found.chains)), *frame])
        except ConnectorError:
            # Something in it cannot be named. Ownership is lost this way; a moment unprotected would be worse.
            self._run(elements, Mirror(), [f"delete table inet {TABLE}", f"add table inet {TABLE}", *frame])
            self.owned = False

    def _mend_elements(self, found: Elements, mirror: Mirror) -> list[str]:
        difference, told = observe.drift(found, mirror, self._clock.elapsed())
        for each in difference.batches():
            self._run(each, mirror)
        return told

    def _run(self, difference: Difference, standing: Mirror, first: Sequence[str] = ()) -> None:
        """Change elements in one transaction, `first` what they need.

        The kernel counts an element's time from when it reads it, so each is given less than it has by as much as that
        may take. Where it took longer, on a busy machine, it is done again: nothing ends later than it must.
        """
        expected = _TRANSACTION_SECONDS + len(difference) * _KEY_SECONDS
        begun = self._clock.elapsed()
        self.nft.run([*first, *difference.commands(begun + expected, standing)])
        while difference.lasting and (took := self._clock.elapsed() - begun) > expected:
            expected = 2 * took
            begun = self._clock.elapsed()
            self.nft.run(difference.commands(begun + expected, standing, again=True))

    def _frame(self, slots: set[Slot]) -> list[str]:
        return table.make_sets(slots, self._always) + table.make_chains(slots, self._machine)

    def _remember(self, slots: set[Slot]) -> None:
        self._slots = set(slots)
        self._shape = observe.read_structure(self.reader)


def _what_is_wrong(found: Structure, ours: set[Slot], elements: Elements) -> list[str]:
    """What calls for building anew."""
    fixed = {table.PORTS, table.KEEP, *table.ALWAYS.values(), *table.REFUSED.values()}
    strange = sorted(found.sets.keys() - fixed - {slot.name for slot in ours})
    told = [f"set {name} was not one of ours, or had lost its timeout flag" for name in strange]
    told += _unreadable(elements)
    told += [f"{purpose} {key} stood without an end" for purpose in Purpose for key in sorted(elements.wrong[purpose])]
    return told


def _unreadable(elements: Elements) -> list[str]:
    return [f"set {name} held what is no key" for name in sorted(elements.unreadable)]


def _difference(found: Structure, should: Structure | None) -> list[str]:
    if not found.chains and not found.sets:
        return ["the table had been removed"]
    if should is None:
        return ["the table was not known"]
    parts = {
        "the protected ports had been changed": found.ports != should.ports,
        "the table's sets had been changed": found.sets != should.sets,
        "the table's chains had been changed": found.chains != should.chains,
        "the table's rules had been changed": found.rules != should.rules,
    }
    return [sentence for sentence, differs in parts.items() if differs]
