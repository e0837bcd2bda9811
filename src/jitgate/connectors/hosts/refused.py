"""Who was turned away lately: so that a requester can be told "an attempt came from 198.51.100.9: move the grant?"."""

import socket
from datetime import datetime, timedelta

from jitgate.connectors.hosts import observe
from jitgate.connectors.hosts.messages import Refused
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.table import REFUSED, REFUSED_FOR_SECONDS, TABLE


def read_refused(reader: Reader, wall: datetime) -> list[Refused]:
    """The refused sources, the latest first. Raises ConnectorError or OSError."""
    found = []
    for family, name in REFUSED.items():
        for each in reader.elements(TABLE, name):
            protocol, port = observe.port_of(each.key[-8:])
            if protocol is not None and each.expires_ms is not None:
                ago = timedelta(seconds=REFUSED_FOR_SECONDS, milliseconds=-each.expires_ms)
                found.append(Refused(wall - ago, _source(family, each.key), protocol, port))
    return sorted(found, reverse=True)


def _source(family: int, key: bytes) -> str:
    if family == 4:
        return socket.inet_ntop(socket.AF_INET, key[:4])
    return socket.inet_ntop(socket.AF_INET6, key[:16])
