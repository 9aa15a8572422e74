"""Segmentation once more, slowly and plainly: take the packet apart into values, and build each segment from them."""

from __future__ import annotations

from attrs import evolve

from aiotun.packet import TCP, UDP, IPv4, IPv6, SuperPacket, TCPFlag, find_transport

__all__ = ["segments"]

FIN_PSH = TCPFlag.FIN | TCPFlag.PSH


def segments(packet: SuperPacket, network: int = 0) -> list[bytes]:
    """Return the segments of a good super-packet whose IP header is at *network*."""
    octets = bytes(packet)
    link, octets = octets[:network], octets[network:]
    found = find_transport(octets)
    version = octets[0] >> 4
    chain = b"" if version == 4 else octets[40 : found.offset]
    outer = IPv4.parse(octets) if version == 4 else IPv6.parse(octets)
    body = octets[found.offset :]
    transport = TCP.parse(body) if found.protocol == 6 else UDP.parse(body)
    payload, size = transport.payload, packet.gso_size
    starts = range(0, len(payload), size) or range(1)
    finished = []
    for number, start in enumerate(starts):
        part = payload[start : start + size]
        if isinstance(transport, TCP):
            flags = transport.flags
            if start != starts[-1]:
                flags &= ~FIN_PSH
            if number:
                flags &= ~TCPFlag.CWR
            piece = evolve(transport, payload=part, seq=(transport.seq + start) & 0xFFFFFFFF, flags=int(flags))
            built = piece.build(outer.src, outer.dst)
        else:
            built = UDP(transport.src_port, transport.dst_port, part).build(outer.src, outer.dst)
        if isinstance(outer, IPv4):
            step = 0 if packet.fixed_id else number
            ident = (outer.identification + step) & 0xFFFF
            finished.append(link + evolve(outer, payload=built, identification=ident).build())
        else:
            finished.append(link + evolve(outer, payload=chain + built).build())
    return finished
