"""Where the headers of a packet are that offload works on: bounded walks that never raise."""

from __future__ import annotations

from ..packet import EtherType, Flow, Protocol, flow

__all__ = ["find_flow", "find_network", "find_transport6"]

_IPV4 = int(EtherType.IPV4)
_IPV6 = int(EtherType.IPV6)
_TAGS = frozenset((int(EtherType.VLAN), int(EtherType.SERVICE_VLAN)))
_HOP_BY_HOP = int(Protocol.HOP_BY_HOP)
_ROUTING = int(Protocol.ROUTING)
_DESTINATION = int(Protocol.DESTINATION)

# The kernel cuts and merges behind these alone, INET6_PROTO_GSO_EXTHDR. What else is called an
# extension header does not survive it: a fragment is cut already, AH covers the payload.
_EXTENSIONS = frozenset((_HOP_BY_HOP, _ROUTING, _DESTINATION))
_MAX_EXTENSIONS = 8


def find_network(frame: bytes) -> int:
    """
    Return where the IP header of an Ethernet frame is: 14, or 18 or 22 behind VLAN tags; -1 if there is none.

    The version in its first byte agrees with the type of the frame.
    """
    size = len(frame)
    at = 12
    kind = -1
    while at + 2 < size:
        kind = frame[at] << 8 | frame[at + 1]
        if kind not in _TAGS or at == 20:
            break
        at += 4
    at += 2
    if at >= size:
        return -1
    version = frame[at] >> 4
    return at if (version == 4 and kind == _IPV4) or (version == 6 and kind == _IPV6) else -1


def find_transport6(packet: bytes, network: int) -> tuple[int, int]:
    """
    Return the protocol behind the IPv6 header at *network*, and where its header is.

    Hop-by-hop options in first place, routing and destination options headers are stepped over, eight at most;
    any other next header is the answer. The place may be beyond the end of the packet.
    """
    protocol = packet[network + 6]
    at = network + 40
    for step in range(_MAX_EXTENSIONS):
        if protocol not in _EXTENSIONS or at + 8 > len(packet) or (protocol == _HOP_BY_HOP and step):
            break
        protocol = packet[at]
        at += packet[at + 1] * 8 + 8
    return protocol, at


def find_flow(packet: bytes, ethernet: bool) -> Flow | None:
    """Return the flow of a packet, or of a frame if *ethernet*; None if there is no good IP header."""
    network = find_network(packet) if ethernet else 0
    return flow(packet[network:]) if network >= 0 else None
