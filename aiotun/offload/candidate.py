"""What coalescing wants to know of one packet, and whether its checksums are right."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ..packet import Protocol, TCPFlag, checksum, pseudo_sum
from .headers import find_network, find_transport6

__all__ = ["Candidate", "read", "verify"]

_TCP = int(Protocol.TCP)
_UDP = int(Protocol.UDP)
_ACK = int(TCPFlag.ACK)
_ACK_PSH = int(TCPFlag.ACK | TCPFlag.PSH)

_PROTOCOL_BYTES = {_TCP: b"\x06", _UDP: b"\x11"}

_TCP_VARYING = ((4, 8, 0xFF), (13, 14, int(TCPFlag.PSH)), (16, 18, 0xFF))  # sequence number, PSH, checksum
_UDP_VARYING = ((4, 8, 0xFF),)  # length, checksum
_IPV4_VARYING = ((2, 6, 0xFF), (10, 12, 0xFF))  # total length and identification, checksum
_IPV6_VARYING = ((4, 6, 0xFF),)  # payload length


class Candidate(NamedTuple):
    """One TCP segment or UDP datagram that may be merged with others."""

    packet: bytes
    network: int
    """Where the IP header is."""
    transport: int
    """Where the TCP or UDP header is."""
    payload: int
    """Where the payload is; there is at least one byte of it."""
    protocol: int
    key: bytes
    """Source, destination, ports, protocol: what the packets of a flow have in common."""
    same: int
    """The headers, with ones wherever they may differ within a train."""
    seq: int
    """The sequence number; 0 for UDP."""
    ident: int
    """The IPv4 identification; 0 for IPv6."""
    push: bool


def read(packet: bytes, ethernet: bool) -> Candidate | None:
    """
    Return what there is to know of *packet*; None if it cannot be merged with any other.

    Which is so unless it is whole TCP or UDP with a payload, without IPv4 options, fragmentation, padding, TCP flags
    but ACK and PSH, reserved bits, or a UDP checksum of "none".
    """
    size = len(packet)
    network = find_network(packet) if ethernet else 0
    if network < 0 or size < network + 29:
        return None
    if packet[network] == 0x45:
        # Reserved bit, MF, and the offset.
        if packet[network + 6] & 0xBF or packet[network + 7]:
            return None
        if packet[network + 2] << 8 | packet[network + 3] != size - network:
            return None
        version, ident = 4, packet[network + 4] << 8 | packet[network + 5]
        protocol, transport = packet[network + 9], network + 20
        key = packet[network + 12 : network + 24]
    elif packet[network] >> 4 == 6:
        if packet[network + 4] << 8 | packet[network + 5] != size - network - 40:
            return None
        version, ident = 6, 0
        protocol, transport = packet[network + 6], network + 40
        if protocol != _TCP and protocol != _UDP:
            protocol, transport = find_transport6(packet, network)
        key = packet[network + 8 : network + 40] + packet[transport : transport + 4]
    else:
        return None
    if protocol == _TCP and size > transport + 20:
        payload = transport + (packet[transport + 12] >> 4) * 4
        flags = packet[transport + 13]
        if packet[transport + 12] & 0x0F or (flags != _ACK and flags != _ACK_PSH):
            return None
        if not transport + 20 <= payload < size:
            return None
        seq = int.from_bytes(packet[transport + 4 : transport + 8], "big")
        push = flags == _ACK_PSH
    elif protocol == _UDP and size > transport + 8:
        if packet[transport + 4] << 8 | packet[transport + 5] != size - transport:
            return None
        if not (packet[transport + 6] or packet[transport + 7]):
            return None
        payload, seq, push = transport + 8, 0, False
    else:
        return None
    varying = _varying(version, protocol, transport - network, payload - transport)
    same = int.from_bytes(packet[:payload], "big") | varying
    key += _PROTOCOL_BYTES[protocol]
    return Candidate(packet, network, transport, payload, protocol, key, same, seq, ident, push)


@lru_cache(maxsize=256)
def _varying(version: int, protocol: int, network_length: int, transport_length: int) -> int:
    """Return ones for the bits in which the headers of one train may differ, counted from the headers' end."""
    ones = bytearray(network_length + transport_length)
    for at, end, mask in _IPV4_VARYING if version == 4 else _IPV6_VARYING:
        ones[at:end] = bytes((mask,)) * (end - at)
    for at, end, mask in _TCP_VARYING if protocol == _TCP else _UDP_VARYING:
        ones[network_length + at : network_length + end] = bytes((mask,)) * (end - at)
    return int.from_bytes(ones, "big")


def verify(candidate: Candidate) -> bool:
    """
    Return whether every checksum is right, and is what ``segment()`` would write.

    Where a checksum computes to 0, a field of 0xffff verifies too; only in UDP is that what belongs there.
    """
    packet, network, transport, _, protocol, *_ = candidate
    length = len(packet) - transport
    if protocol == _TCP and packet[transport + 16 : transport + 18] == b"\xff\xff":
        return False
    if packet[network] >> 4 == 4:
        if checksum(packet[network : network + 20]) or packet[network + 10 : network + 12] == b"\xff\xff":
            return False
        # The addresses lie right before the transport header: one sum for the pseudo-header and all.
        return checksum(packet[network + 12 :], protocol + length) == 0
    if transport == network + 40:
        return checksum(packet[network + 8 :], protocol + length) == 0
    ends = packet[network + 8 : network + 24], packet[network + 24 : network + 40]
    return checksum(packet[transport:], pseudo_sum(*ends, protocol, length)) == 0
