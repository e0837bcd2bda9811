"""Reading JSON by hand, so that every refusal names the field as the caller wrote it.

Names arrive folded to lower case (`jitgate.web.body`): the real service compares them so, and a source that was
typed ``AllowedSourceAddressPrefix`` must not count as left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jitgate.core.errors import Invalid

_LONGEST_SHOWN = 60


class Fields:
    """An object of the body. `path` is where it stands; "" for the body itself."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            raise Invalid(path or "body", f"{shown(value)} is not an object", allowed="a JSON object")
        self._values: Mapping[str, Any] = value
        self.path = path

    def field(self, name: str) -> str:
        """Where a property of this object stands."""
        return f"{self.path}.{name}" if self.path else name

    def get(self, name: str) -> Any:
        """A property, None where it is left out or null: the contract's clients write both."""
        return self._values.get(name.lower())

    def need(self, name: str, allowed: str) -> Any:
        """A property that must be there. Raises Invalid."""
        value = self.get(name)
        if value is None:
            raise Invalid(self.field(name), "the property is missing", allowed=allowed)
        return value

    def text(self, name: str) -> str | None:
        """A property that is a text where it is there. Raises Invalid."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise Invalid(self.field(name), f"{shown(value)} is not a text", allowed="a text")
        return value

    def objects(self, name: str, most: int) -> Iterator["Fields"]:
        """The objects of a list that must be there. Raises Invalid."""
        value = self.need(name, "a list")
        path = self.field(name)
        if not isinstance(value, list):
            raise Invalid(path, f"{shown(value)} is not a list", allowed="a list of objects")
        if len(value) > most:
            raise Invalid(path, f"the list has {len(value)} entries", allowed=f"at most {most}")
        for index, item in enumerate(value):
            yield Fields(item, f"{path}[{index}]")


def shown(value: object) -> str:
    """A value for a message, cut short."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
