"""What the tests of a NAT share: one by a clock of theirs, and packets between two ends."""

from __future__ import annotations

from typing import Any

from aiotun.packet import find_transport
from aiotun.stages import Nat

from .packets import ENDS, Clock

OUTSIDE = {4: "203.0.113.5", 6: "2001:db8:5::5"}
TRANSPORTS = ("tcp", "udp")


def made(clock: Clock | None = None, **options: Any) -> Nat:
    """A NAT of both IP versions."""
    return Nat(OUTSIDE[4], OUTSIDE[6], clock=clock or Clock(), **{"seed": 1, **options})


def through(nat: Nat, packet: bytes) -> bytes:
    """Send a packet out."""
    (translated,) = nat.outbound([packet])
    return translated


def back(nat: Nat, packet: bytes) -> bytes:
    """Take a packet in."""
    (translated,) = nat.inbound([packet])
    return translated


def ports(packet: bytes) -> tuple[int, int]:
    """The ports of a packet."""
    start = find_transport(packet).offset
    return int.from_bytes(packet[start : start + 2], "big"), int.from_bytes(packet[start + 2 : start + 4], "big")


def identifier(packet: bytes) -> int:
    """The identifier of an echo."""
    start = find_transport(packet).offset
    return int.from_bytes(packet[start + 4 : start + 6], "big")


def answer_ends(version: int) -> dict[str, Any]:
    """Where an answer comes from and goes to."""
    return {"src": ENDS[version][1], "dst": OUTSIDE[version]}


def inner_ends(version: int) -> dict[str, Any]:
    """The same, inside."""
    return {"src": ENDS[version][1], "dst": ENDS[version][0]}
