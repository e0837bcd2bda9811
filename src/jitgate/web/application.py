"""The application's own description, as it answers."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

_NEVER = "422"
_NEVER_SENT = ("HTTPValidationError", "ValidationError")


class Application(FastAPI):
    """FastAPI describes 422 for wrong input. Here that is 400, in the shape of every refusal (`jitgate.web.errors`).

    `objects`: those that routes describe by hand, by name.
    """

    objects: Mapping[str, Any] = {}

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description."""
        if self.openapi_schema is None:
            self._correct(super().openapi())
        return super().openapi()

    def _correct(self, described: dict[str, Any]) -> None:
        for methods in described["paths"].values():
            for call in methods.values():
                call["responses"].pop(_NEVER, None)
        objects = described.setdefault("components", {}).setdefault("schemas", {})
        for name in _NEVER_SENT:
            objects.pop(name, None)
        objects.update(self.objects)
