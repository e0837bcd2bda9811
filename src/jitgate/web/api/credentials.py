"""Personal tokens, and the client secrets of service principals. A secret is in one answer, and in no other."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from jitgate.core import duration
from jitgate.core.roles import Limit
from jitgate.service import credentials, links, sessions
from jitgate.service.credentials import Held, Made, Wanted
from jitgate.web.api.forms import Form, Listing, Shown, Text
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.values import CreatedTime, ScopePath
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(tags=["credentials"], route_class=NativeRoute, responses=REFUSALS)

Id = Annotated[Text, Path(alias="credential", description="The id of a token or secret: the part after `jg_`.")]
Who = Annotated[Text, Path(alias="principal", description="A person's name, in any case, or an id.")]
Name = Annotated[Text, Path(alias="principal", description="The name of a service principal.")]


LinkPath = Annotated[
    str,
    Field(
        examples=["/sign-in#jg_…"], description="Where to go in a browser, on this server. It is secret and good once."
    ),
]


class LimitForm(Form):
    """What a token is good for at most. It gives no right that its holder lacks."""

    actions: list[Text] = Field(
        default=[], examples=[["*/read"]], description="Action patterns that it is good for; empty: all."
    )
    scope: Text = Field(default="/", description="A scope path; it holds for everything below.")


class SecretForm(Form):
    """A credential to be made."""

    name: Text = Field(examples=["backup job"], description="What it is for.")
    life: Text = Field(
        default="P90D", examples=["P30D"], description="How long it is good, ISO 8601, `PT5M` to `P730D`."
    )


class TokenForm(SecretForm):
    """A personal token to be made."""

    limit: LimitForm = Field(
        default=LimitForm(), description="What it is good for at most. Left out: for all that its holder may do."
    )


class ShownLimit(Shown):
    """What a credential is good for at most."""

    actions: list[str] = Field(description="Action patterns that it is good for; empty: all.")
    scope: ScopePath


class ShownCredential(Shown):
    """A token or a secret, without what is secret about it."""

    id: str = Field(description="Its id: of a token or secret the part after `jg_`.")
    kind: str = Field(
        description="What it is: `token`, `secret`, `link`, or `owner` for the token that the first start has made."
    )
    name: str = Field(description="What it is for, as was said when it was made.")
    principal: str = Field(description="The name of who can sign in with it.")
    created_time_utc: CreatedTime
    expires_time_utc: datetime | None = Field(description="When it ends, in UTC; null: it does not end by itself.")
    revoked_time_utc: datetime | None = Field(description="When it was revoked, in UTC; null: it was not.")
    used_time_utc: datetime | None = Field(description="When it was last used, in UTC and to the minute; null: never.")
    used_from: str | None = Field(
        description="The address that it was last used from; null: it was not used, or that is not known."
    )
    limit: ShownLimit | None = Field(description="What it is good for at most; null: all that its holder may do.")
    ended: bool = Field(description="Whether it counts no more: it is revoked, used up or over.")


class NewCredential(ShownCredential):
    """A new one. `secret` is shown this once and kept nowhere."""

    secret: str = Field(examples=["jg_…"], description="The whole token or secret. It is shown this once.")


@router.post("/tokens", summary="Make a personal token", status_code=201)
async def make_token(form: TokenForm, service: CurrentService, asker: CurrentAsker) -> NewCredential:
    """A token for yourself. Keep `secret`: it is shown this once."""
    limit = credentials.check_limit(form.limit.actions, form.limit.scope)
    return _new(await credentials.make_token(service, asker, _wanted(form, limit)))


@router.get("/tokens", summary="List tokens and secrets")
async def list_tokens(
    service: CurrentService,
    asker: CurrentAsker,
    principal: Annotated[Text | None, Query(description="Whose, by name or id. Left out: the caller's own.")] = None,
) -> Listing[ShownCredential]:
    """Tokens and secrets, with when each was last used."""
    return Listing(items=[_show(each) for each in await credentials.list_credentials(service, asker, principal)])


@router.delete("/tokens/{credential}", summary="Revoke a token or secret", status_code=204)
async def revoke_token(id: Id, service: CurrentService, asker: CurrentAsker) -> None:
    """Make it useless at once; also if it was already."""
    await credentials.revoke_credential(service, asker, id)


class SignInLink(Shown):
    """A way to sign in in a browser. `path` is good once, for minutes; what is behind # is secret."""

    path: LinkPath


@router.post("/sign-in-links", summary="Make a sign-in link", status_code=201)
async def make_link(service: CurrentService, asker: CurrentAsker) -> SignInLink:
    """A link that signs you in in a browser, once."""
    return SignInLink(path=f"/sign-in#{await sessions.make_link(service, asker)}")


class LinkForm(Form):
    """A sign-in link to be made for somebody."""

    life: Text = Field(default="P1D", examples=["PT2H"], description="How long it is good, ISO 8601, `PT5M` to `P7D`.")


class NewLink(ShownCredential):
    """A new sign-in link. `path` is shown this once and good once; what is behind # is secret."""

    path: LinkPath


@router.post("/principals/{principal}/sign-in-links", summary="Make a sign-in link for somebody", status_code=201)
async def make_link_for(who: Who, form: LinkForm, service: CurrentService, asker: CurrentAsker) -> NewLink:
    """A first way in for a person without an identity provider; links that were made before end. Revoke it by its id,
    as a token."""
    made = await links.make_link_for(service, asker, who, duration.parse(form.life, "life").length)
    return NewLink(**_show(made.held).model_dump(), path=f"/sign-in#{made.secret}")


@router.post("/principals/{principal}/secrets", summary="Make a client secret", status_code=201)
async def make_secret(name: Name, form: SecretForm, service: CurrentService, asker: CurrentAsker) -> NewCredential:
    """A client secret for a service principal, besides those that it has. Keep `secret`: it is shown this once."""
    return _new(await credentials.make_secret(service, asker, name, _wanted(form, None)))


def _wanted(form: SecretForm, limit: Limit | None) -> Wanted:
    return Wanted(form.name, duration.parse(form.life, "life").length, limit)


def _new(made: Made) -> NewCredential:
    return NewCredential(**_show(made.held).model_dump(), secret=made.secret)


def _show(held: Held) -> ShownCredential:
    limit = held.limit
    return ShownCredential(
        id=held.id,
        kind=held.kind,
        name=held.label,
        principal=held.principal,
        created_time_utc=held.created_at,
        expires_time_utc=held.expires_at,
        revoked_time_utc=held.revoked_at,
        used_time_utc=held.used_at,
        used_from=held.used_from,
        limit=None if limit is None else ShownLimit(actions=list(limit.actions), scope=limit.scope),
        ended=held.ended,
    )
