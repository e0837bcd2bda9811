"""What a host keeps of having joined a server: where it is, who the host is there, and whose word counts.

::

    DIR/membership.json   mode 600: the server's URL, the host's UUID and scope, the pinned root key, the key set
    DIR/agent.key         mode 600: the host's own key, which never leaves it
    DIR/hosts.json …      as for an agent beside a server (`jitgate.connectors.hosts.roster`)
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from jitgate.connectors.base import ConnectorError
from jitgate.trust.files import write_private
from jitgate.trust.keyset import KeySet, SignedKeys
from jitgate.trust.signatures import Forged

FILE, KEY = "membership.json", "agent.key"


@dataclass(frozen=True, slots=True)
class Membership:
    """`root`: the key that is pinned; `keys`: as the root has signed them."""

    url: str
    host: str
    name: str
    scope: str
    root: str
    keys: SignedKeys

    @property
    def keyset(self) -> KeySet:
        """Whose word counts now. Raises Forged."""
        return self.keys.opened(self.root)

    def with_keys(self, keys: SignedKeys) -> "Membership":
        """The same with a later key set. Raises Forged for one that is not later, or by no root that is believed: the
        one that is pinned, or one that it has named. Who has signed it is the one that is pinned from then on."""
        held = self.keyset
        for root in dict.fromkeys((self.root, *held.roots)):
            try:
                later = keys.opened(root)
            except Forged:
                continue
            if later.epoch <= held.epoch:
                raise Forged("the server offers an earlier key set than the one that is known")
            return replace(self, root=root, keys=keys)
        raise Forged("the server offers a key set that no root key has signed which this host believes")


def read(directory: Path) -> Membership:
    """Raises ConnectorError where the host has not joined, or the file is damaged."""
    path = directory / FILE
    try:
        told = json.loads(path.read_bytes())
        keys = SignedKeys(str(told.pop("body")), str(told.pop("signature")))
        found = Membership(**told, keys=keys)
        keys.opened(found.root)
    except FileNotFoundError:
        raise ConnectorError(
            f"this machine has not joined a server: there is no {path}. Run: jitgate-agent join, or gateway join"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, Forged) as error:
        raise ConnectorError(f"{path} is damaged ({error}); remove it and join again") from None
    return found


def write(directory: Path, member: Membership) -> None:
    """Keep it, whole or not at all. Raises OSError."""
    told = {
        "url": member.url,
        "host": member.host,
        "name": member.name,
        "scope": member.scope,
        "root": member.root,
        "body": member.keys.body,
        "signature": member.keys.signature,
    }
    write_private(directory / FILE, json.dumps(told, indent=1).encode())
