"""Many packets to few super-packets, such that segmenting them gives back every packet, byte for byte."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ..packet import Protocol
from ..speedups import twin
from .candidate import read
from .headers import find_flow
from .train import Train

__all__ = ["MAX_SEGMENTS", "MAX_SIZE", "coalesce"]

MAX_SEGMENTS = 64
"""How many packets a super-packet stands for at most, unless the caller says otherwise."""

MAX_SIZE = 0xFFFF
"""How long the IP packet of a super-packet may be, in bytes."""

_MAX_UDP_SEGMENTS = 128  # UDP_MAX_SEGMENTS: a tun refuses more
_TCP = int(Protocol.TCP)
_UDP = int(Protocol.UDP)
_ICMPV6 = int(Protocol.ICMPV6)

_ENDING = struct.Struct("!HHB")  # of a train's key: ports and protocol


@twin
def coalesce(
    batch: Iterable[bytes],
    ethernet: bool = False,
    tcp: bool = True,
    udp: bool = True,
    max_segments: int = MAX_SEGMENTS,
    max_size: int = MAX_SIZE,
) -> list[bytes]:
    """
    Return *batch* with each run of packets that may be one super-packet made into one; never raises.

    Packets are merged only if ``segment()`` would give back exactly these: same flow, same headers but for what
    counts up, payloads in sequence and of one size but for the last, checksums verified. All others come
    through as the same objects, super-packets among them. A super-packet stands where its first packet stood,
    and no packet overtakes another one of its flow. Nothing is kept from one batch to the next.

    Args:
        batch: Packets, or frames.
        ethernet: Whether they are a tap's frames.
        tcp: Whether to merge TCP.
        udp: Whether to merge UDP: only if the reader was granted TUN_F_USO4 and TUN_F_USO6.
        max_segments: How many packets one super-packet stands for at most; for UDP no more than 128.
        max_size: How long its IP packet may be, in bytes; no more than 65535.

    tcp_gro_receive(), udp_gro_receive(), inet_gro_receive() and ipv6_gro_receive() in Linux, and stricter than they:
    FIN and CWR are not merged, nor are fixed IPv4 identifications without DF.
    """
    protocols = {_TCP: max_segments} if tcp else {}
    if udp:
        protocols[_UDP] = min(max_segments, _MAX_UDP_SEGMENTS)
    max_size = min(max_size, MAX_SIZE)
    result: list[bytes] = []
    trains: list[Train] = []
    open_trains: dict[bytes, Train] = {}
    for packet in batch:
        candidate = read(packet, ethernet) if type(packet) is bytes else None
        if candidate is None or candidate.protocol not in protocols:
            if open_trains:
                _close(open_trains, packet, ethernet)
            result.append(packet)
            continue
        key = candidate.key
        train = open_trains.get(key)
        if train is not None:
            if train.take(candidate, protocols[candidate.protocol], max_size):
                if train.full:
                    del open_trains[key]
                continue
            del open_trains[key]
        if not candidate.push:
            open_trains[key] = train = Train(candidate, len(result))
            trains.append(train)
        result.append(packet)
    for train in trains:
        if train.count > 1:
            result[train.place] = train.build()
    return result


def _close(open_trains: dict[bytes, Train], packet: bytes, ethernet: bool) -> None:
    """
    Close the train that *packet*, which is not merged itself, may be of: what follows it must not get ahead of it.

    Where its ports are out of reach, in a fragment say, these are all trains between its addresses.
    """
    found = find_flow(packet, ethernet)
    if found is None:
        return
    protocol, src, dst, src_port, dst_port = found
    ends = src + dst
    if src_port or dst_port:
        open_trains.pop(ends + _ENDING.pack(src_port, dst_port, protocol), None)
        return
    # IPv4 always says what it carries; IPv6 does not, behind a header that cannot be stepped over.
    if protocol == _ICMPV6 or (len(src) == 4 and protocol not in (_TCP, _UDP)):
        return
    size = len(ends) + _ENDING.size
    for key in [key for key in open_trains if len(key) == size and key.startswith(ends)]:
        del open_trains[key]
