"""Named networks: what administrators call the places that people come from."""

from collections.abc import Sequence

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import networks as rules
from jitgate.core import prefixes, roles
from jitgate.core.errors import Conflict, NotFound
from jitgate.core.networks import MOST_NETWORKS, Network, Networks
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.store import networks
from jitgate.store.database import Tx

_WHERE = "/"


async def list_networks(service: Service, asker: Asker) -> Sequence[Network]:
    """All named networks, by name. Raises Forbidden."""
    require(asker, roles.READ_NETWORK, _WHERE)
    return await service.store.read(networks.list_all)


async def put_network(service: Service, asker: Asker, network: Network) -> Network:
    """Describe a network, in place of what its name stood for. Raises Forbidden, Invalid, Conflict for too many."""
    rules.check(network)

    def work(tx: Tx) -> Network:
        require(asker, roles.WRITE_NETWORK, _WHERE)
        old = networks.get(tx, network.name)
        if old is None and len(networks.list_all(tx)) >= MOST_NETWORKS:
            raise Conflict(f"There are {MOST_NETWORKS} networks already, which is the most. Remove one first.")
        networks.put(tx, network, asker.principal.uid)
        facts = {"before": _facts(old) if old else None, "after": _facts(network)}
        audit.record(tx, [event(asker, Operation.NETWORK_WRITE, Outcome.SUCCEEDED, _resource(network.name), facts)])
        return network

    return await attempt(service, asker, Operation.NETWORK_WRITE, _resource(network.name), work)


async def remove_network(service: Service, asker: Asker, name: str) -> None:
    """Forget a network. Nothing opens or shuts for that. Raises Forbidden, NotFound."""

    def work(tx: Tx) -> None:
        require(asker, roles.WRITE_NETWORK, _WHERE)
        old = networks.get(tx, name)
        if old is None:
            raise NotFound(
                f"There is no network {name[:100]!r}. `jitgate network ls` lists them.", code="NetworkNotFound"
            )
        networks.remove(tx, name)
        facts = {"before": _facts(old), "after": None}
        audit.record(tx, [event(asker, Operation.NETWORK_DELETE, Outcome.SUCCEEDED, _resource(old.name), facts)])

    await attempt(service, asker, Operation.NETWORK_DELETE, _resource(name), work)


async def known(service: Service) -> Networks:
    """The networks, to put names to addresses that somebody may read."""
    return await service.store.read(networks.known)


def _resource(name: str) -> str:
    return f"network/{name[:256]}"


def _facts(network: Network) -> dict[str, object]:
    return {"prefixes": [prefixes.text(one) for one in network.prefixes], "note": network.note}
