"""The packets and frames that go through the machine: few, but of every kind that is treated in a way of its own."""

from __future__ import annotations

import sys

__all__ = ["BROADCAST", "FRAMES", "HEADED", "IPX", "PACKETS", "ipv4", "ipv6", "is_first_class"]

UDP = 17
BROADCAST = b"\xff" * 6
SOURCE = bytes.fromhex("020000000001")


def ipv4(size: int, *, tos: int = 0, destination: bytes = b"\xc6\x33\x64\x09", mark: int = 0) -> bytes:
    """An IPv4 datagram of *size* bytes; *mark* tells it from another."""
    head = bytes((0x45, tos, size >> 8 & 0xFF, size & 0xFF, 0, mark, 0, 0, 64, UDP, 0, 0)) + bytes((192, 0, 2, 1))
    return (head + destination).ljust(size, b"\0")


def ipv6(size: int, *, destination: bytes = b"\x20\x01\x0d\xb8".ljust(16, b"\x09"), mark: int = 0) -> bytes:
    """An IPv6 packet of *size* bytes."""
    source = b"\x20\x01\x0d\xb8".ljust(16, b"\x01")
    body = size - 40
    return (bytes((0x60, 0, 0, mark, body >> 8, body & 0xFF, 59, 64)) + source + destination).ljust(size, b"\0")


def frame(kind: int, payload: bytes, destination: bytes = BROADCAST, source: bytes = SOURCE) -> bytes:
    return destination + source + kind.to_bytes(2, "big") + payload


def is_first_class(packet: bytes) -> int:
    """The classifier of the Priority disciplines: class 0 if the second byte's last bit is set, else 1."""
    return 0 if packet[1:2] and packet[1] & 1 else 1


PACKETS = (
    ipv4(28),
    ipv4(29, tos=1, mark=1),
    ipv6(48, mark=2),
    ipv4(72, mark=3),
    ipv4(73, tos=1, mark=4),
    ipv6(100, mark=5),
    bytes(40),  # of no family
    b"",
    b"\x45",
    ipv4(101, mark=6),
    ipv4(1500, mark=7),
    ipv6(1501, mark=8),
    b"\x45\x00\x00",
    ipv4(16384, mark=9),
    ipv4(16385, mark=10),
)
"""What a tun is given."""

IPX = 23


def _headed(family: int, packet: bytes, order: str) -> bytes:
    return family.to_bytes(4, order) + packet  # type: ignore[arg-type]


HEADED = (
    _headed(2, ipv4(28), "big"),
    _headed(28, ipv6(48), "big"),
    _headed(IPX, bytes(30), "big"),
    _headed(99, ipv4(28), "big"),
    _headed(2, ipv6(48), "big"),
    _headed(2, ipv4(28, tos=1), sys.byteorder),
    _headed(28, ipv6(48), sys.byteorder),
    _headed(99, ipv4(28), sys.byteorder),
    b"\0\0\0",
    b"\0\0\0\2",
    _headed(2, ipv4(16381), "big"),
)
"""Packets with their family in front, in either byte order."""

FRAMES = (
    frame(0x0800, ipv4(28)),
    frame(0x0800, ipv4(28, tos=1, mark=1) + bytes(18)),  # padded
    frame(0x86DD, ipv6(48)),
    frame(0x8100, b"\0\1\x08\0" + ipv4(72, mark=2)),
    frame(0x88A8, b"\0\1\x81\0\0\2\x08\0" + ipv4(73, mark=3)),
    frame(0x8137, bytes(30)),
    frame(0x1234, bytes(46)),
    b"",
    bytes(13),
    frame(0x0800, ipv4(72, mark=4), destination=SOURCE),  # another station's
    frame(0x0800, ipv4(72, mark=5), source=BROADCAST),
    frame(0x0800, ipv4(1500, mark=6)),
    frame(0x0800, ipv4(1501, mark=7)),
    frame(0x0800, ipv4(40)[:30]),  # cut short
    frame(0x86DD, ipv4(48)),
)
"""What a tap is given."""
