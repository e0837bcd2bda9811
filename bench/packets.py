"""What one packet costs on its way through the chain, with few and with many grants standing.

The sender and the receiving end share one core: whatever a packet sets off until it is queued or dropped happens
before the call that sent it returns, so the time of the call is the cost of its packets.
"""

import ctypes
import os
import random
import re
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from tests.netns import HOST4

from bench.figures import Aim, Row, median, number
from bench.installation import TALKERS, TRAFFIC, Installation

_BATCH = 250
"""Packets in a call: so few that most calls are not interrupted, however busy the machine."""
_PAYLOAD = b"x" * 18
_STRANGERS = 50_000
"""Different sources of what is refused, so that the search does not always end in the same place."""

_MOST = 0.98
"""What must come through. A busy machine puts some of the work off, and then its queue may overflow."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


class Batch:
    """Frames that sendmmsg(2) sends in one call."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._count = len(frames)
        self._vectors = (_Vector * self._count)(*(_Vector(frame, len(frame)) for frame in frames))
        self._messages = (_Message * self._count)()
        for message, vector in zip(self._messages, self._vectors, strict=True):
            message.header.vectors = ctypes.pointer(vector)
            message.header.vector_count = 1

    def send(self, link: socket.socket) -> None:
        """Send them all. Raises OSError."""
        sent = _libc.sendmmsg(link.fileno(), self._messages, self._count, 0)
        if sent != self._count:
            raise OSError(ctypes.get_errno(), f"{sent} of {self._count} packets were sent")


class Sender:
    """Sends UDP packets from the client's side of an installation. A context manager."""

    def __init__(self, installation: Installation) -> None:
        self._network = installation.network
        self._link = self._network.alice.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        self._network.alice.inside(lambda: self._link.bind(("eth0", 0)))
        self._receiver = self._network.host.make_socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receiver.bind((HOST4, TRAFFIC))
        ethernet = _hardware(self._network.host.run("cat", "/sys/class/net/to-1/address"))
        ethernet += _hardware(self._network.alice.run("cat", "/sys/class/net/eth0/address")) + b"\x08\x00"
        sources = [TALKERS[index % len(TALKERS)] for index in range(_BATCH)]
        self.accepted = [Batch([ethernet + _packet(source) for source in sources])]
        packets = [ethernet + _packet(_stranger()) for _ in range(_STRANGERS)]
        self.refused = [Batch(packets[start : start + _BATCH]) for start in range(0, _STRANGERS, _BATCH)]

    def nanoseconds(self, batches: Sequence[Batch], count: int) -> float:
        """What a packet costs: the median of so many batches."""
        taken = []
        for index in range(count):
            began = time.perf_counter_ns()
            batches[index % len(batches)].send(self._link)
            taken.append(time.perf_counter_ns() - began)
        return median(taken) / _BATCH

    def arrived(self) -> int:
        """How many datagrams have come through the firewall, whether or not somebody read them."""
        names, values = re.findall(r"^Udp: (.*)$", self._network.host.run("cat", "/proc/net/snmp"), re.MULTILINE)
        counters: dict[str, str] = dict(zip(names.split(), values.split(), strict=True))
        return int(counters["InDatagrams"]) + int(counters["RcvbufErrors"])

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()
        self._receiver.close()


def measure(few: Installation, many: Installation, rounds: int, batches: int) -> Iterator[Row]:
    """Rounds in turns, on one core. Raises RuntimeError if a packet did not go the way that it should."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        with Sender(few) as one, Sender(many) as other:
            for what, aim in (("accepted", Aim(1.1)), ("refused", None)):
                yield _row(what, one, other, (few.live, many.live), (rounds, batches), aim)
    finally:
        os.sched_setaffinity(0, cores)


def _row(what: str, few: Sender, many: Sender, live: tuple[int, int], size: tuple[int, int], aim: Aim | None) -> Row:
    rounds, batches = size
    pairs = []
    before = few.arrived(), many.arrived()
    for number_of_round in range(rounds):
        ordered = [(few, 0), (many, 1)] if number_of_round % 2 else [(many, 1), (few, 0)]
        costs = {index: sender.nanoseconds(getattr(sender, what), batches) for sender, index in ordered}
        pairs.append((costs[0], costs[1]))
    for sender, earlier in zip((few, many), before, strict=True):
        came, sent = sender.arrived() - earlier, rounds * batches * _BATCH
        if came if what == "refused" else came < sent * _MOST:
            raise RuntimeError(f"{came} of {sent} packets that should have been {what} came through")
    less, more = median([pair[0] for pair in pairs]), median([pair[1] for pair in pairs])
    return Row(
        f"a packet that is {what}, {live[1]:,} live grants",
        f"{number(more)} ns ({number(1e6 / more)} k/s)",
        median([second / first for first, second in pairs]),
        against=f"{live[0]:,} live grants {number(less)} ns ({number(1e6 / less)} k/s)",
        aim=aim,
    )


def _hardware(text: str) -> bytes:
    return bytes.fromhex(text.strip().replace(":", ""))


def _packet(sender: str) -> bytes:
    """A UDP datagram over IPv4 (RFC 791, RFC 768); a UDP checksum of zero says that there is none."""
    udp = struct.pack(">HHHH", 40_000, TRAFFIC, 8 + len(_PAYLOAD), 0) + _PAYLOAD
    addresses = socket.inet_aton(sender) + socket.inet_aton(HOST4)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
    return head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + udp


def _stranger() -> str:
    return f"13.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"


def _checksum(head: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f">{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
