"""Netlink messages as the kernel lays them out, and a socket that answers with them."""

from __future__ import annotations

import socket
import struct

__all__ = ["Scripted", "address_message", "attribute", "link_message", "message"]


class Scripted:
    """A socket that answers with prepared buffers or errors, then would block."""

    def __init__(self, *answers: bytes | OSError) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def recv(self, size: int, flags: int = 0) -> bytes:
        if not self.answers:
            raise BlockingIOError
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


def attribute(kind: int, value: bytes) -> bytes:
    return (struct.pack("=HH", 4 + len(value), kind) + value).ljust((4 + len(value) + 3) & ~3, b"\0")


def message(kind: int, body: bytes, *, flags: int = 0) -> bytes:
    length = 16 + len(body)
    return (struct.pack("=IHHII", length, kind, flags, 1, 0) + body).ljust((length + 3) & ~3, b"\0")


def link_message(
    kind: int, *, index: int = 3, name: bytes = b"vpn0", mtu: int = 1400, extra: bytes = b"", family: int = 0
) -> bytes:
    """Return a link message."""
    attributes = attribute(3, name + b"\0") + attribute(4, struct.pack("=I", mtu)) + extra
    return message(kind, struct.pack("=BxHiII", family, 0xFFFE, index, 0x1, 0) + attributes)


def address_message(
    kind: int,
    address: str = "10.0.0.1",
    *,
    prefix: int = 24,
    index: int = 3,
    low_flags: int = 0,
    local: str | None = None,
    flags: int | None = None,
    message_flags: int = 0,
) -> bytes:
    """Return an address message; *address* is its IFA_ADDRESS, which of a point-to-point address is the peer's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    attributes = attribute(1, socket.inet_pton(family, address))
    if local is not None:
        attributes += attribute(2, socket.inet_pton(family, local))
    if flags is not None:
        attributes += attribute(8, struct.pack("=I", flags))
    body = struct.pack("=BBBBI", family, prefix, low_flags, 0, index) + attributes
    return message(kind, body, flags=message_flags)
