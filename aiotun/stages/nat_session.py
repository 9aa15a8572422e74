"""One conversation through a NAT: how to rewrite its packets, and how long it lives."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ..packet import TCPFlag

__all__ = ["Mapping", "Rewriting", "Session"]

_FIN, _SYN, _RST = int(TCPFlag.FIN), int(TCPFlag.SYN), int(TCPFlag.RST)

# What was seen of a TCP connection.
_OUT, _IN, _OPEN, _FIN_OUT, _FIN_IN, _RESET = 1, 2, 4, 8, 16, 32
_FINS = _FIN_OUT | _FIN_IN


class Rewriting(NamedTuple):
    """What the packets of one direction get, and by how much that changes the sums over them."""

    address: bytes
    """The new address: 4 bytes, or 16."""
    port: bytes
    """The new port, or ICMP identifier: 2 bytes."""
    address_change: int
    """The words of the new address minus those of the old, modulo 0xffff."""
    port_change: int
    """The new port minus the old, modulo 0xffff."""
    change: int
    """Both together, modulo 0xffff."""

    @classmethod
    def of(cls, old: bytes, old_port: bytes, new: bytes, new_port: bytes) -> Rewriting:
        """Return what turns one address and port into another."""
        address = (int.from_bytes(new, "big") - int.from_bytes(old, "big")) % 0xFFFF
        port = (int.from_bytes(new_port, "big") - int.from_bytes(old_port, "big")) % 0xFFFF
        return cls(new, new_port, address, port, (address + port) % 0xFFFF)


class Mapping:
    """An address and port inside, and the port outside that stands for them, whoever they speak to."""

    __slots__ = ("inside", "outside", "port", "port_inside", "protocol", "remotes")

    def __init__(self, protocol: int, inside: bytes, port_inside: bytes, outside: bytes, port: bytes) -> None:
        self.protocol = protocol
        self.inside = inside
        self.port_inside = port_inside
        self.outside = outside
        self.port = port
        self.remotes: Counter[bytes] = Counter()  # sessions by remote address


class Session:
    """One conversation between an address and port inside and another one outside."""

    __slots__ = (
        "back",
        "due",
        "established",
        "forth",
        "hairpin",
        "key_in",
        "key_out",
        "last",
        "mapping",
        "quick",
        "remote",
        "state",
        "timeout",
    )

    def __init__(self, mapping: Mapping, remote: bytes, remote_port: bytes, now: float) -> None:
        self.mapping = mapping
        self.remote = remote
        # Addresses and ports as they lie in the packets of either direction.
        self.key_out = mapping.inside + remote + mapping.port_inside + remote_port
        self.key_in = remote + mapping.outside + remote_port + mapping.port
        self.forth = Rewriting.of(mapping.inside, mapping.port_inside, mapping.outside, mapping.port)
        self.back = Rewriting.of(mapping.outside, mapping.port, mapping.inside, mapping.port_inside)
        self.hairpin = remote == mapping.outside
        self.last = now
        self.timeout = 0.0
        self.due = 0.0
        self.state = 0
        self.established = False
        """Whether a TCP connection is."""
        self.quick = False
        """Whether a packet without FIN, SYN and RST changes nothing but ``last``, and goes on along the path."""

    def track(self, flags: int, outbound: bool) -> None:
        """
        Take notice of a TCP segment; ``established`` says what that made of the connection.

        It is so once both ends were heard, and then one without SYN; it is no longer after both FINs, or after RST.
        """
        if flags & _RST:
            self.state |= _RESET
        elif flags & _SYN:
            if self.state & _RESET or self.state & _FINS == _FINS:
                self.state = 0  # the ports are used again
            self.state |= _OUT if outbound else _IN
        else:
            self.state |= _OUT if outbound else _IN
            if self.state & _OUT and self.state & _IN:
                self.state |= _OPEN
            if flags & _FIN:
                self.state |= _FIN_OUT if outbound else _FIN_IN
        self.established = bool(self.state & _OPEN) and not self.state & _RESET and self.state & _FINS != _FINS
        self.quick = self.established and not self.hairpin
