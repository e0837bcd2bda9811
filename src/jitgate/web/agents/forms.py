"""What a host sends to join."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from jitgate.core.machine import Joins

_Address = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F:.]{2,45}$")]


class JoinForm(BaseModel):
    """`place`: of a gateway, where people connect to. `nonce` makes each body another. What a later version says
    besides is left alone."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="ignore", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=260)]
    public_key: Annotated[str, Field(min_length=43, max_length=43)]
    addresses: list[_Address] = Field(default=[], max_length=64)
    kind: Joins = Joins.HOST
    place: Annotated[str, Field(max_length=253)] = ""
    nonce: Annotated[str, Field(max_length=64)] = ""
