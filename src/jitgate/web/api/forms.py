"""What all bodies of the native API share: camelCase on the wire, nothing unknown, times in UTC."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from jitgate.core import prefixes
from jitgate.core.errors import Invalid
from jitgate.core.prefixes import Prefix

Item = TypeVar("Item")

MOST_ITEMS = 1000
MOST_TAGS = 50
LONGEST_WAIT = 60.0

# PostgreSQL cannot hold a NUL in a text; nobody means one.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=2048)]
Limit = Annotated[int, Field(ge=1, le=MOST_ITEMS, description="How many to answer at most.")]
After = Annotated[Text | None, Field(description="The `after` of the page before. Left out: the first page.")]
Wait = Annotated[
    float,
    Field(
        ge=0,
        le=LONGEST_WAIT,
        description="Seconds to wait for firewalls to do what is under way. The answer comes as soon as they have.",
    ),
]


class Form(BaseModel):
    """A body that came in. A field that nobody knows is an error: it would silently mean nothing."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True)


class Shown(BaseModel):
    """A body that goes out."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)


class Listing(Shown, Generic[Item]):
    """Part of a list. `after` is what to ask for next; null: this was the last."""

    items: list[Item] = Field(description="This page of the list.")
    after: str | None = Field(
        default=None, description="What to give as `after` to get the next page; null: this was the last."
    )


def utc(moment: datetime, field: str) -> datetime:
    """A moment in UTC. Raises Invalid for one that UTC has no date for."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Invalid(
            field, f"{moment.isoformat()} is not a time", allowed="a time within the years 1 to 9999"
        ) from None


def texts(sources: Iterable[Prefix]) -> list[str]:
    """Sources as people write them: single addresses without their length."""
    return [prefixes.text(prefix) for prefix in sources]
