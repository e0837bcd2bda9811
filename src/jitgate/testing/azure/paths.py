"""Resource paths: what a call is about."""

from dataclasses import dataclass

from jitgate.testing.azure.messages import Refusal


@dataclass(frozen=True, slots=True)
class Path:
    """A path, taken apart at its last ``/providers/``.

    `scope`      what stands before it, without the slash at the end
    `namespace`  ``Microsoft.Network``; "" for subscriptions and resource groups themselves
    `types`      ``("networkSecurityGroups", "securityRules")``
    `names`      one for each type; one fewer for a collection
    """

    text: str
    scope: str
    namespace: str = ""
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def subscription(self) -> str:
        return self._after("subscriptions")

    @property
    def group(self) -> str:
        return self._after("resourcegroups")

    @property
    def is_collection(self) -> bool:
        return len(self.names) < len(self.types)

    @property
    def kind(self) -> str:
        """``microsoft.network/networksecuritygroups`` of what holds it, in lower case."""
        return f"{self.namespace}/{self.types[0]}".lower() if self.types else ""

    @property
    def full_kind(self) -> str:
        return f"{self.namespace}/{'/'.join(self.types)}"

    @property
    def top(self) -> str:
        """The id of the resource that holds it."""
        return f"{self.scope}/providers/{self.namespace}/{self.types[0]}/{self.names[0]}"

    def _after(self, word: str) -> str:
        parts = self.text.split("/")
        for index, part in enumerate(parts[:-1]):
            if part.lower() == word:
                return parts[index + 1]
        return ""


def parse(text: str) -> Path:
    """Take a path apart. Raises Refusal."""
    text = "/" + text.strip("/")
    before, found, after = _split(text)
    if not found:
        return Path(text, text)
    namespace, *rest = after.split("/")
    if not rest:
        raise Refusal(404, "InvalidResourceType", f"The path {text[:200]} names no resource type.")
    return Path(text, before, namespace, tuple(rest[::2]), tuple(rest[1::2]))


def _split(text: str) -> tuple[str, bool, str]:
    at = text.lower().rfind("/providers/")
    return (text, False, "") if at < 0 else (text[:at], True, text[at + len("/providers/") :])
