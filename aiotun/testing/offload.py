"""Packets as a stack leaves them to a device with offload: merged, and without their checksums."""

from __future__ import annotations

from ..offload import MAX_SEGMENTS, coalesce, complete
from ..offload.headers import find_network
from ..packet import Protocol, SuperPacket, find_transport, flow, pseudo_sum
from ..pipeline import Batch, Stage, stage

__all__ = ["leave_checksum", "unfinished"]

CHECKSUMS = {int(Protocol.TCP): 16, int(Protocol.UDP): 6}
"""Where the checksum is in a transport header."""


def leave_checksum(packet: bytes, ethernet: bool = False) -> bytes:
    """
    Return a TCP or UDP packet as one that lacks its checksum; any other, and one whose checksum is wrong, as it is.

    ``offload.complete()`` of it is *packet* again.

    Args:
        packet: The packet, or frame.
        ethernet: Whether it is a frame.
    """
    network = find_network(packet) if ethernet else 0
    if network < 0 or isinstance(packet, SuperPacket):
        return packet
    transport, ends = find_transport(packet[network:]), flow(packet[network:])
    csum_offset = CHECKSUMS.get(transport.protocol or 0)
    if csum_offset is None or ends is None or network + transport.end != len(packet):
        return packet
    start = network + transport.offset
    at = start + csum_offset
    if at + 2 > len(packet):
        return packet
    total = pseudo_sum(ends.src, ends.dst, ends.protocol, len(packet) - start)
    octets = packet[:at] + total.to_bytes(2, "big") + packet[at + 2 :]
    left = SuperPacket(octets, csum_start=start, csum_offset=csum_offset, needs_csum=True)
    return left if complete(left) == packet else packet


def unfinished(ethernet: bool = False, *, max_segments: int = MAX_SEGMENTS) -> Stage:
    """
    Return the stage ``unfinished``: what a kernel's stack leaves to a device that offers to do it is left undone.

    TCP and UDP that follow each other in a batch become super-packets, and the others lack their checksums. Put in
    front of the ``output`` path of an in-process interface, it makes plain packets come out as they would of a
    kernel's device::

        interface.output.insert_before("size", unfinished())

    Args:
        ethernet: Whether the packets are frames.
        max_segments: How many packets become one at most; 1 leaves only checksums undone.

    Modelled on what udp_send_skb(), tcp_write_xmit() and their offload in Linux give to a tun.
    """

    @stage(reason="merged", counted=True, superpackets=True)  # what was merged goes on inside another
    def unfinished(batch: Batch) -> Batch:
        merged = coalesce(batch, ethernet, max_segments=max_segments)
        return [leave_checksum(packet, ethernet) for packet in merged]

    return unfinished
