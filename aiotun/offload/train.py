"""A train: the packets of one flow that will be one super-packet."""

from __future__ import annotations

from ..packet import GSOType, Protocol, SuperPacket, TCPFlag, checksum, pseudo_sum
from .candidate import Candidate, verify

__all__ = ["Train"]

_TCP = int(Protocol.TCP)
_PSH = int(TCPFlag.PSH)
_DONT_FRAGMENT = 0x40

_TCP_TYPES = {4: int(GSOType.TCPV4), 6: int(GSOType.TCPV6)}
_UDP_L4 = int(GSOType.UDP_L4)


class Train:
    """
    Starts with one packet, takes what follows it exactly, and builds the super-packet of them all.

    Checksums are verified only when there is something to merge, so a packet that stays alone costs no sum.
    """

    __slots__ = ("_first", "_gso_size", "_last", "_payloads", "_size", "_step", "count", "full", "place")

    count: int
    """How many packets it has."""
    full: bool
    """Whether nothing may follow: the last packet was short, or said PSH."""
    place: int
    """Where the first packet is in the result."""

    def __init__(self, first: Candidate, place: int) -> None:
        self._first = self._last = first
        self._gso_size = len(first.packet) - first.payload
        self._size = len(first.packet) - first.network
        self._payloads: list[bytes] = []
        self._step = 0  # from one IPv4 identification to the next
        self.count = 1
        self.full = False
        self.place = place

    def take(self, candidate: Candidate, max_segments: int, max_size: int) -> bool:
        """Append *candidate* if it is what must come next; say whether it was."""
        first, last = self._first, self._last
        packet, payload = candidate.packet, candidate.payload
        length = len(packet) - payload
        if candidate.same != first.same or payload != first.payload:
            return False
        if length > self._gso_size or self.count >= max_segments or self._size + length > max_size:
            return False
        if first.protocol == _TCP and candidate.seq != (last.seq + self._gso_size) & 0xFFFFFFFF:
            return False
        step = (candidate.ident - last.ident) & 0xFFFF
        if self.count > 1:
            if step != self._step:
                return False
        elif step > 1 or (step == 0 and not self._may_repeat()) or not verify(first):
            return False
        if not verify(candidate):
            return False
        if self.count == 1:
            self._step = step
            self._payloads.append(first.packet[payload:])
        self._payloads.append(packet[payload:])
        self._last = candidate
        self._size += length
        self.count += 1
        self.full = candidate.push or length < self._gso_size
        return True

    def _may_repeat(self) -> bool:
        """Whether the identification may stay the same: it has no meaning if DF is set, RFC 6864, and IPv6 has none."""
        packet, network = self._first.packet, self._first.network
        return packet[network] >> 4 == 6 or packet[network + 6] & _DONT_FRAGMENT != 0

    def build(self) -> SuperPacket:
        """Return the super-packet: all payloads behind the first packet's headers, with what lengths they have now."""
        packet, network, transport, payload, protocol, *_ = self._first
        size = self._size
        header = bytearray(packet[:payload])
        version = packet[network] >> 4
        if version == 4:
            ends = packet[network + 12 : network + 16], packet[network + 16 : network + 20]
            header[network + 2 : network + 4] = size.to_bytes(2, "big")
            header[network + 10 : network + 12] = b"\0\0"
            total = checksum(header[network : network + 20])
            header[network + 10 : network + 12] = total.to_bytes(2, "big")
        else:
            ends = packet[network + 8 : network + 24], packet[network + 24 : network + 40]
            header[network + 4 : network + 6] = (size - 40).to_bytes(2, "big")
        length = size - (transport - network)
        if protocol == _TCP:
            gso_type, csum_offset = _TCP_TYPES[version], 16
            if self._last.push:
                header[transport + 13] |= _PSH
        else:
            gso_type, csum_offset = _UDP_L4, 6
            header[transport + 4 : transport + 6] = length.to_bytes(2, "big")
        at = transport + csum_offset
        header[at : at + 2] = pseudo_sum(*ends, protocol, length).to_bytes(2, "big")
        return SuperPacket(
            b"".join((header, *self._payloads)),
            gso_type,
            self._gso_size,
            payload,
            transport,
            csum_offset,
            needs_csum=True,
            fixed_id=version == 4 and self._step == 0,
        )
