"""The objects of what stands around the contract, for the OpenAPI description: as far as clients of Azure read them.

Azure has more fields. Those that are here are in every version that clients ask for.
"""

from jitgate.web.arm.schemas import Schema, listed, named, one_of, page, text, texts, thing, time, whole

_ID = text("Its id.")
_NAME = text("Its name.")
_LOCATION = text("Where it is; `global` outside the clouds.")
_SUCCEEDED = text("Always `Succeeded`.")
_DISPLAY_NAME = text("Always `jitgate`.")
_TENANT_ID = text("The one tenant of this installation, a GUID.")


def _type(name: str) -> Schema:
    return text(f"Always `{name}`.")


# --- inventory -------------------------------------------------------------------------------------------

TENANTS = whole(
    "Tenants.",
    thing(
        "A tenant.",
        id=_ID,
        tenantId=_TENANT_ID,
        displayName=_DISPLAY_NAME,
        tenantCategory=text("Always `Home`."),
    ),
)
SUBSCRIPTION = named(
    "Subscription",
    thing(
        "A subscription.",
        id=_ID,
        subscriptionId=text("Its GUID."),
        tenantId=_TENANT_ID,
        displayName=_DISPLAY_NAME,
        state=text("Always `Enabled`."),
        authorizationSource=text("Always `RoleBased`."),
        managedByTenants=listed("Always empty.", {"type": "object"}),
        subscriptionPolicies=thing(
            "What Azure bills by; nothing here.",
            locationPlacementId=text("Always empty."),
            quotaId=text("Always empty."),
            spendingLimit=text("Always `Off`."),
        ),
    ),
)
SUBSCRIPTIONS = whole("Subscriptions.", SUBSCRIPTION)
LOCATIONS = whole(
    "Locations.",
    thing(
        "A location.",
        id=_ID,
        name=_NAME,
        type=_type("Region"),
        displayName=text("The same as its name."),
        regionalDisplayName=text("The same as its name."),
        metadata=thing(
            "What kind of place it is.",
            regionType=_type("Physical"),
            regionCategory=_type("Other"),
        ),
    ),
)
SECURITY_LOCATIONS = whole(
    "Locations.",
    thing(
        "A location.",
        id=_ID,
        name=text("Its name: what `ascLocation` stands for in the contract's paths."),
        type=_type("Microsoft.Security/locations"),
        properties=thing("What it is.", homeRegionName=text("The same as its name.")),
    ),
)
GROUP = named(
    "ResourceGroup",
    thing(
        "A resource group.",
        id=_ID,
        name=_NAME,
        type=_type("Microsoft.Resources/resourceGroups"),
        location=text("Where the first machine in it is; `global` outside the clouds."),
        properties=thing("How it is.", provisioningState=_SUCCEEDED),
    ),
)
GROUPS = whole("Resource groups.", GROUP)
MACHINE = named(
    "VirtualMachine",
    thing(
        "A machine.",
        id=_ID,
        name=_NAME,
        type=_type("Microsoft.Compute/virtualMachines"),
        location=_LOCATION,
        tags={"type": "object", "description": "Names and values.", "additionalProperties": {"type": "string"}},
        properties=thing(
            "What is known of it.",
            "vmId provisioningState storageProfile osProfile networkProfile",
            vmId=text("This incarnation's UUID. A machine that is made again under the same id gets another."),
            provisioningState=_SUCCEEDED,
            storageProfile=thing(
                "Its disks.",
                osDisk=thing(
                    "The disk that it starts from.",
                    "",
                    osType=text("`Windows` or `Linux`. Left out: that is not known."),
                ),
                dataDisks=listed("Always empty.", {"type": "object"}),
            ),
            osProfile=thing("Its system.", computerName=text("The machine's name.")),
            networkProfile=thing("Its network.", networkInterfaces=listed("Always empty.", {"type": "object"})),
            instanceView=thing(
                "How it fares. Left out, but with `$expand=instanceView`.",
                statuses=listed("Always empty: that is not known here.", {"type": "object"}),
            ),
        ),
    ),
)
MACHINES = page("Machines.", MACHINE)

# --- roles and assignments ---------------------------------------------------------------------------------

_ROLE_NAME = text("What it is called.")
_ROLE_SCOPES = texts("The scope paths at and below which it can be given.")
_ACTIONS = texts("Action patterns that it allows; `*` stands for any part.")
_NOT_ACTIONS = texts("Action patterns that are taken out of these again.")
_DATA_ACTIONS = texts("Always empty: there are no data actions here.")
_PERMISSIONS = listed(
    "What it allows: one entry.",
    thing(
        "What is allowed.",
        "",
        actions=_ACTIONS,
        notActions=_NOT_ACTIONS,
        dataActions=_DATA_ACTIONS,
        notDataActions=_DATA_ACTIONS,
    ),
    1,
)
_ROLE_ID = text("The role's id: a path, or its GUID alone.")
_PRINCIPAL_ID = text("The id of a person, a program or a group, a GUID.")
_FOR_WHAT = text("What it is for, for people. Left out: nothing is said.")

PUT_ROLE = thing(
    "A custom role.",
    "properties",
    properties=thing(
        "What it says.",
        "roleName permissions",
        roleName=_ROLE_NAME,
        description=_FOR_WHAT,
        permissions=_PERMISSIONS,
        assignableScopes=texts("The scope paths at and below which it can be given. Left out: the one of the path."),
    ),
)
ROLE = named(
    "RoleDefinition",
    thing(
        "A role.",
        id=_ID,
        type=_type("Microsoft.Authorization/roleDefinitions"),
        name=text("Its GUID."),
        properties=thing(
            "What it says.",
            roleName=_ROLE_NAME,
            type=one_of("Whether it is of this installation's own.", "CustomRole", "BuiltInRole"),
            description=text("What it is for; may be empty."),
            assignableScopes=_ROLE_SCOPES,
            permissions=_PERMISSIONS,
        ),
    ),
)
ROLES = whole("Roles.", ROLE)

PUT_ASSIGNMENT = thing(
    "A role to give.",
    "properties",
    properties=thing(
        "Which, and to whom.",
        "roleDefinitionId principalId",
        roleDefinitionId=_ROLE_ID,
        principalId=_PRINCIPAL_ID,
        description=_FOR_WHAT,
    ),
)
ASSIGNMENT = named(
    "RoleAssignment",
    thing(
        "An assignment.",
        id=_ID,
        type=_type("Microsoft.Authorization/roleAssignments"),
        name=text("Its GUID."),
        properties=thing(
            "Which role, to whom and where.",
            roleDefinitionId=text("The role's id."),
            principalId=_PRINCIPAL_ID,
            principalType=one_of("What the principal is.", "User", "ServicePrincipal", "Group"),
            scope=text("The scope path where it holds, with everything below."),
            description={
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "description": "What it was given for; null: nothing was said.",
            },
            condition={"type": "null", "description": "Always null: there are no conditions here."},
            conditionVersion={"type": "null", "description": "Always null."},
            createdOn=time("When it was given, in UTC."),
            updatedOn=time("The same: an assignment does not change."),
            createdBy=text("The id of who gave it; empty: jitgate itself."),
            updatedBy=text("The same."),
            delegatedManagedIdentityResourceId={"type": "null", "description": "Always null."},
        ),
    ),
)
ASSIGNMENTS = page("Assignments.", ASSIGNMENT)

# --- plans -------------------------------------------------------------------------------------------------

_TIER = one_of("The plan. Just-in-time access belongs to `Standard` with `P2`.", "Free", "Standard")
_EXTENSIONS = listed(
    "Azure's extensions of a plan. They are kept and answered, and without a meaning here.",
    thing(
        "An extension.",
        name=_NAME,
        isEnabled=text("`True` or `False`, as a text."),
    ),
    50,
)

PUT_PRICING = thing(
    "A plan to set.",
    "properties",
    properties=thing(
        "Which.",
        "pricingTier",
        pricingTier=_TIER,
        subPlan=one_of("Left out: `P2` of a subscription, `P1` of a machine.", "P1", "P2"),
        enforce=text("`True`: machines below have no plan of their own; else `False`. Left out: `False`."),
        extensions=_EXTENSIONS,
    ),
)
PRICING = named(
    "Pricing",
    thing(
        "A plan.",
        id=_ID,
        name=_type("VirtualMachines"),
        type=_type("Microsoft.Security/pricings"),
        properties=thing(
            "The plan as it holds now.",
            "pricingTier freeTrialRemainingTime enforce resourcesCoverageStatus extensions",
            pricingTier=_TIER,
            subPlan=one_of("Left out where the tier is `Free`.", "P1", "P2"),
            freeTrialRemainingTime=text("What is left of a trial, ISO 8601; `PT0S` where there is none."),
            enablementTime=time("Since when it is not `Free`. Left out: it always was so, or is `Free`."),
            enforce=text("`True`: machines below have no plan of their own; else `False`."),
            inherited=text("Of a machine: `True` where its subscription's plan holds, else `False`."),
            inheritedFrom=text("Of a machine: the id of the subscription whose plan holds. Left out: it has its own."),
            resourcesCoverageStatus=one_of(
                "How many machines below are under `Standard`.", "FullyCovered", "PartiallyCovered", "NotCovered"
            ),
            extensions=_EXTENSIONS,
        ),
    ),
)
PRICINGS = whole("Plans: one, or none that is asked for.", PRICING)

# --- the activity log ----------------------------------------------------------------------------------------


def _named(says: str) -> Schema:
    return thing(says, value=text("The word."), localizedValue=text("The same, for people."))


EVENT = named(
    "EventData",
    thing(
        "A line of the record, as Azure tells it. With `$select`, only the fields that it names.",
        "",
        authorization=thing(
            "What was done to what.",
            action=text("The action."),
            role=text("Always empty."),
            scope=text("What it was about."),
        ),
        caller=text("The name of who did it; `jitgate` for itself."),
        category=_named("Always `Administrative`."),
        claims=thing(
            "Who did it.",
            name=text("Their name."),
            oid=text("Their id; empty: jitgate itself, or a stranger."),
        ),
        correlationId=text("What events that belong together share."),
        description=text("Of a refusal: what was wrong. Else empty."),
        eventDataId=text("The event's own GUID."),
        eventName=_named("`BeginRequest` where a later event tells how it went, else `EndRequest`."),
        eventTimestamp=time("When it happened, in UTC."),
        httpRequest=thing(
            "The call that it came by.",
            clientRequestId=text("The same as `correlationId`."),
            clientIpAddress=text("Where the call came from; empty: that is not known."),
            method=text("The method that such an action has in Azure."),
            uri=text("Always empty."),
        ),
        id=text("The event's id."),
        level=one_of(
            "`Critical` where a port shut late, `Error` where something failed, `Warning` for a refusal.",
            "Critical",
            "Error",
            "Warning",
            "Informational",
        ),
        operationId=text("The same as `correlationId`."),
        operationName=_named("What was done, as an action; in words where Azure has some for it."),
        properties={
            "type": "object",
            "description": "What else there is to say, by the operation; each a text.",
            "additionalProperties": {"type": "string"},
        },
        resourceGroupName=text("The resource group of what it was about; may be empty."),
        resourceId=text("What it was about: an id where there is one, else a name or scope path."),
        resourceProviderName=_named("The first part of `resourceType`."),
        resourceType=_named("The type of what it was about."),
        status=_named("`Started`, `Accepted`, `Succeeded` or `Failed`; a refusal is `Failed`."),
        subStatus=_named("The status that such an answer has in HTTP; may be empty."),
        submissionTimestamp=time("The same as `eventTimestamp`."),
        subscriptionId=text("The subscription of what it was about; may be empty."),
        tenantId=_TENANT_ID,
    ),
)
EVENTS = page("Events, the newest first.", EVENT)

# --- signing in ----------------------------------------------------------------------------------------------

_NONE_HERE = text("There is none here: the server itself.")
METADATA = thing(
    "Where this server's parts are. Those that are not here lead to the server itself.",
    name=_DISPLAY_NAME,
    resourceManager=text("The address of the Azure-compatible API: this server."),
    authentication=thing(
        "Where to sign in.",
        loginEndpoint=text("The address to sign in at: this server."),
        audiences=texts("Whom tokens are for: this server."),
        tenant=text("Always `common`."),
        identityProvider=text("Always `AAD`, Azure's word for such a server."),
    ),
    suffixes={"type": "object", "description": "Always empty."},
    vmImageAliasDoc=text("Always empty."),
    portal=_NONE_HERE,
    gallery=_NONE_HERE,
    graph=_NONE_HERE,
    graphAudience=_NONE_HERE,
    microsoftGraphResourceId=_NONE_HERE,
    media=_NONE_HERE,
    batch=_NONE_HERE,
    sqlManagement=_NONE_HERE,
)
CONFIGURATION = thing(
    "What clients look up before they sign in.",
    issuer=text("Who issues the tokens, as it stands in them."),
    authorization_endpoint=text("Where a browser would sign in. Nothing is there."),
    token_endpoint=text("Where a client secret is given for an access token."),
    device_authorization_endpoint=text("Where a device would sign in. Nothing is there."),
    jwks_uri=text("Where the public keys are."),
    token_endpoint_auth_methods_supported=texts("How a client proves itself: in the form that it sends."),
    grant_types_supported=texts("`client_credentials` only."),
    response_types_supported=texts("`token` only."),
    subject_types_supported=texts("`public` only."),
    id_token_signing_alg_values_supported=texts("`ES256` only."),
)
KEYS = thing(
    "The public keys that tokens can be checked with (RFC 7517).",
    keys=listed(
        "Those that are in force, and the next.",
        thing(
            "A key.",
            "kty crv x y",
            kty=_type("EC"),
            crv=_type("P-256"),
            x=text("The first coordinate, base64url."),
            y=text("The second coordinate, base64url."),
            kid=text("Its id, as it stands in the tokens that it signs."),
            use=_type("sig"),
            alg=_type("ES256"),
        ),
    ),
)
TOKEN_FORM = thing(
    "A client secret.",
    "grant_type client_id client_secret",
    grant_type=one_of("Always this.", "client_credentials"),
    client_id=text("The id or name of a service principal, 260 characters at most."),
    client_secret=text("The service principal's secret."),
    scope=text("What the token is wanted for. It is not looked at. May be left out."),
)
TOKEN = thing(
    "An access token.",
    token_type=_type("Bearer"),
    expires_in={"type": "integer", "description": "For how many seconds it is good."},
    ext_expires_in={"type": "integer", "description": "The same."},
    access_token=text("The token; it is secret."),
)
OAUTH_ERROR = thing(
    "A refusal, as OAuth has it (RFC 6749, 5.2).",
    error=text("What kind of refusal it is, for programs."),
    error_description=text("What was wrong, for people."),
    error_codes=listed("Azure's numbers for it, where it has one.", {"type": "integer"}),
)
