"""What stands in many bodies of the native API: said once, so that it says the same everywhere."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.roles import Kind
from jitgate.web.api.forms import Text

# --- machines and ports

AnyMachine = Annotated[Text, Field(examples=["web-1"], description="The machine's id, or any unique short name.")]
MachineName = Annotated[str, Field(description="The machine's short name.")]
MachineId = Annotated[
    str, Field(description="The machine's id, `/subscriptions/…/virtualMachines/NAME`, as it was written first.")
]
PortNumber = Annotated[int, Field(examples=[22], description="The port, 1 to 65535.")]
OfProtocol = Annotated[Protocol, Field(description="`TCP`, `UDP`, or `*` for both.")]
PortTexts = Annotated[
    list[str], Field(examples=[["tcp/22"]], description="The protected ports that it is about, as `tcp/22`.")
]
Tags = "All tags that a machine must have; names are compared without case, values as they are. Empty: any machine."

# --- access

Sources = Annotated[
    list[str],
    Field(description="Addresses and CIDR prefixes that are let in; `0.0.0.0/0` with `::/0`: any."),
]
Session = Annotated[
    SessionEnd,
    Field(description="What becomes of an established session when the grant expires: `keep` it, or `end` it."),
]
Requestor = Annotated[str, Field(description="The name of who asked.")]
Justification = Annotated[str, Field(description="Why, as the requester wrote it; empty: nothing was said.")]
Length = Annotated[
    str | None,
    Field(examples=["PT2H"], description="How long, counted from opening, ISO 8601; null: it has a fixed end instead."),
]
AskedTime = Annotated[datetime, Field(description="When it was asked for, in UTC.")]
StartTime = Annotated[datetime | None, Field(description="When access shall begin, in UTC; null: as soon as it may.")]
WaitUntil = Annotated[
    datetime | None, Field(description="Until when it may wait for approval, in UTC; null: it needs none.")
]
Note = Annotated[str, Field(description="What was said with it; may be empty.")]

# --- who, and what they may

PrincipalName = Annotated[str, Field(description="The name of a person, a program or a group.")]
OfKind = Annotated[Kind, Field(description="What it is. Who is in a `claimedGroup`, an identity provider says.")]
RoleName = Annotated[str, Field(description="The role's name.")]
ScopePath = Annotated[
    str, Field(description="The scope path where it holds, with everything below; `/` is everywhere.")
]
Via = Annotated[str, Field(description="The group that it was given to; empty: to the principal alone.")]

# --- where things are filed, and when they were made

Subscription = Annotated[str, Field(description="The GUID of the subscription that it is filed in.")]
ResourceGroup = Annotated[str, Field(description="The resource group that it is filed in.")]
CreatedTime = Annotated[datetime, Field(description="When it was made, in UTC.")]
