"""Datagrams of numbered flows, and what can be read back from them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from aiotun.packet import UDP, IPv4, Protocol

LINK = bytes.fromhex("0200000000010200000000020800")
"""An Ethernet header."""

ECT0, ECT1, CE = 2, 1, 3


@cache
def datagram(flow: int = 0, number: int = 0, size: int = 100, *, tos: int = 0) -> bytes:
    """An IPv4 datagram of *size* bytes: the *number*th of its flow, which is its source port."""
    payload = number.to_bytes(2, "big").ljust(size - 28, b"\0")
    udp = UDP(flow, 53, payload).build("10.0.0.1", "10.0.0.2")
    return IPv4("10.0.0.1", "10.0.0.2", Protocol.UDP, udp, tos=tos).build()


def flow_of(packet: bytes) -> int:
    return int.from_bytes(packet[20:22], "big")


def number_of(packet: bytes) -> int:
    return int.from_bytes(packet[28:30], "big")


def numbers(packets: Iterable[bytes]) -> list[int]:
    return [number_of(packet) for packet in packets]


def flows(packets: Iterable[bytes]) -> list[int]:
    return [flow_of(packet) for packet in packets]


def run(count: int, size: int = 100, *, flow: int = 0, first: int = 0, tos: int = 0) -> list[bytes]:
    """*count* datagrams of one flow, numbered from *first*."""
    return [datagram(flow, number, size, tos=tos) for number in range(first, first + count)]
