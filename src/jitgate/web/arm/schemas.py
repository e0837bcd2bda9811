"""The objects of the contract for the OpenAPI description, and how schemas are written.

What a field is in Azure's contract, and what it means here where that is more or something else.
"""

from typing import Any

from jitgate.core.policy import MOST_MACHINES, MOST_PORTS

Schema = dict[str, Any]

OBJECTS: dict[str, Schema] = {}
"""The objects with a name of their own."""


def text(says: str, **more: Any) -> Schema:
    """A text, and what it is."""
    return {"type": "string", "description": says, **more}


def time(says: str) -> Schema:
    """A moment."""
    return text(says, format="date-time")


def one_of(says: str, *values: str) -> Schema:
    """One of some words."""
    return text(says, enum=list(values))


def flag(says: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": says}


def listed(says: str, items: Schema, most: int | None = None) -> Schema:
    """A list."""
    return {"type": "array", "description": says, "items": items, **({} if most is None else {"maxItems": most})}


def texts(says: str) -> Schema:
    """A list of texts."""
    return listed(says, {"type": "string"})


def thing(says: str, required: str | None = None, **properties: Schema) -> Schema:
    """An object. `required`: the names of what is always there, separated by spaces; None: all is."""
    always = list(properties) if required is None else required.split()
    return {"type": "object", "description": says, "required": always, "properties": properties}


def named(name: str, schema: Schema) -> Schema:
    """An object that stands by itself in the description, and a reference to it."""
    OBJECTS[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}


def page(says: str, items: Schema) -> Schema:
    """A list as Azure answers it, page by page."""
    return thing(says, "value", value=listed("This page of the list.", items), nextLink=NEXT_LINK)


def whole(says: str, items: Schema) -> Schema:
    """A list that is answered whole."""
    return thing(says, value=listed("The whole list.", items))


NEXT_LINK = text("The address of the next page, to be called as it is. Left out: this was the last.")

# --- policies and requests -----------------------------------------------------------------------------

_NUMBER: Schema = {"type": "integer", "description": "The port.", "minimum": 1, "maximum": 65535}
_MACHINE = text("The machine's id. Compared without case, and answered as it was written.")


def _sources(says: str, left_out: str) -> dict[str, Schema]:
    one = f"{says}: an address, a CIDR prefix, or `*` for any. {left_out}"
    return {
        "allowedSourceAddressPrefix": text(one),
        "allowedSourceAddressPrefixes": texts("The same for several, instead of `allowedSourceAddressPrefix`."),
    }


_PORT_RULE = thing(
    "A protected port.",
    "number protocol maxRequestAccessDuration",
    number=_NUMBER,
    protocol=one_of("`*` stands for TCP and UDP.", "TCP", "UDP", "*"),
    maxRequestAccessDuration=text(
        "The longest access, ISO 8601, `PT5M` to `P1D`. Answered as it was written.", examples=["PT3H"]
    ),
    **_sources("What a request may ask for", "One of the two is needed."),
)
_INITIATE_PORT = thing(
    "A port to open.",
    "number",
    number=_NUMBER,
    endTimeUtc=time(
        "When access ends, with `Z` or an offset; up to the policy's longest from now. Not with `duration`."
    ),
    duration=text(
        "How long, ISO 8601, counted from opening. Azure takes it though its contract does not tell it. "
        "Left out: `endTimeUtc` is needed.",
        examples=["PT1H"],
    ),
    **_sources("Where access is needed from", "Left out: the address that the call comes from."),
)
_REQUEST_PORT = thing(
    "A port that was asked for.",
    "number endTimeUtc status statusReason",
    number=_NUMBER,
    endTimeUtc=time("When access ends; of a duration that has not begun to run, the latest that it could."),
    status=one_of("`Initiating` also while it waits for approval or its start.", "Initiating", "Initiated", "Revoked"),
    statusReason=one_of(
        "Why it has its `status`. A request that was denied reads `UserRequested`.",
        "UserRequested",
        "Expired",
        "NewerRequestInitiated",
    ),
    mappedPort={
        "type": "integer",
        "description": "The port to connect to at the firewall or gateway. Left out: the machine's own.",
    },
    **_sources("What it is open to", "Left out: there are several."),
)


def _machines(name: str, says: str, port: Schema, **more: Schema) -> Schema:
    ports = listed("The ports of this machine.", named(f"{name}Port", port), MOST_PORTS)
    machine = thing("A machine, with its ports.", "id ports", id=_MACHINE, ports=ports, **more)
    return listed(says, named(f"{name}VirtualMachine", machine), MOST_MACHINES)


INITIATE = named(
    "JitNetworkAccessPolicyInitiateRequest",
    thing(
        "A request for access.",
        "virtualMachines",
        virtualMachines=_machines(
            "JitNetworkAccessPolicyInitiate",
            "The machines to open ports on. All of it is granted, or nothing.",
            _INITIATE_PORT,
        ),
        justification=text("Why access is needed. Left out: nothing is said, which a guardrail can refuse."),
    ),
)
REQUEST = named(
    "JitNetworkAccessRequest",
    thing(
        "A request, and what became of it.",
        "virtualMachines startTimeUtc requestor",
        virtualMachines=_machines("JitNetworkAccessRequest", "The machines that it opens ports on.", _REQUEST_PORT),
        startTimeUtc=time("When access begins; else when it was asked for."),
        requestor=text("The name of who asked. Azure leaves it empty for a program."),
        justification=text("Why, as it was asked for. Left out: nothing was said."),
    ),
)
_PROTECTED = _machines(
    "JitNetworkAccessPolicy",
    "The machines that it protects. One that a PUT leaves out loses its protection and its grants.",
    _PORT_RULE,
    publicIpAddress=text("The public address of the firewall in front of the machine. Left out: there is none."),
)
PUT_POLICY = thing(
    "A policy. What Azure marks as read-only, `requests` too, is not looked at.",
    "properties",
    kind=text("In Azure always `Basic`. Kept as it is written, and without a meaning here. Left out: `Basic`."),
    properties=thing("What the policy says.", virtualMachines=_PROTECTED),
)
POLICY = named(
    "JitNetworkAccessPolicy",
    thing(
        "A policy.",
        id=text("The policy's id."),
        name=text("The policy's name."),
        type=text("Always `Microsoft.Security/locations/jitNetworkAccessPolicies`."),
        location=text("The location that it is filed in."),
        kind=text("As it was written; `Basic` where nothing was."),
        properties=thing(
            "What the policy says.",
            virtualMachines=_PROTECTED,
            requests=listed("The requests under it: those that are live, and those that ended lately.", REQUEST),
            provisioningState=one_of("`Updating` until every port is shut, or could not be.", "Updating", "Succeeded"),
            appendMode=flag("Azure's own; always false."),
        ),
    ),
)
POLICIES = page("Policies.", POLICY)

# --- refusals --------------------------------------------------------------------------------------------

_CODE = text("What kind of refusal it is, for programs.")
_MESSAGE = text("What was wrong, what is allowed and what to do, for people.")
_TARGET = text("The failing field, as the caller wrote it. Left out: it is about no field.")
ERROR = named(
    "CloudError",
    thing(
        "A refusal.",
        error=thing(
            "Why it was refused.",
            "code message details",
            code=_CODE,
            message=_MESSAGE,
            target=_TARGET,
            details=listed(
                "Each reason.", thing("A reason.", "code message", code=_CODE, message=_MESSAGE, target=_TARGET)
            ),
        ),
    ),
)
FLAT_ERROR = thing("A refusal, as the Activity Log writes it.", code=_CODE, message=_MESSAGE)
