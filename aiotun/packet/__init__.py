"""
Packets and frames: bytes to values and back, and nothing else.

Every protocol has two classes. A **view** (``IPv4View``) lies over bytes that may be anything:
it copies nothing, every field can be read, a field whose bytes are missing reads as 0, and
``check()`` raises ``PacketError`` if the header makes no sense. A **value** (``IPv4``) is small,
frozen and makes sense: it is validated when it is made, ``parse()`` makes one from bytes and
``build()`` turns it into bytes, with lengths and checksums computed::

    datagram = UDP(5000, 53, b"hello").build("10.0.0.1", "10.0.0.2")
    packet = IPv4("10.0.0.1", "10.0.0.2", Protocol.UDP, datagram).build()

    view = IPv4View(packet)
    view.check()
    view.ttl, view.src_bytes, view.transport

Use views on a hot path, values everywhere else. Both name their fields alike. Where a checksum
covers the addresses (TCP, UDP, ICMPv6), ``build(src, dst)`` takes them; ``parse(octets, src,
dst)`` verifies the checksum if it is given them.

Addresses in values are ``ipaddress`` objects, and text or bytes are converted; a view has both
``src`` (the object) and ``src_bytes`` (quick). Ethernet addresses are 6 bytes everywhere.

``PacketError.reason`` is one word to count under:

====================  ==============================================================
``short_header``      fewer bytes than the header takes
``bad_version``       not the IP version it should be
``bad_ihl``           IPv4 header length below 20 bytes or beyond the packet
``bad_length``        a length field that does not fit its packet, or a value too big
``jumbo``             an IPv6 jumbogram, RFC 2675
``bad_fragment``      a fragment that has no place in a datagram
``bad_doff``          TCP header length below 20 bytes or beyond the segment
``bad_option``        a TCP or neighbor discovery option that overruns
``bad_checksum``      a wrong checksum, where one was verified
``bad_ethertype``     neither an Ethernet type nor an IEEE 802.3 length
``bad_arp``           ARP for another link or protocol, or a reply to a reply
``bad_neighbor``      no valid neighbor solicitation or advertisement
``bad_value``         an argument out of range
``short_vnet``        fewer bytes than the vnet header takes
``bad_hdr_len``       a vnet header's hdr_len beyond the packet, or below an Ethernet header
``bad_csum_off``      a checksum to be finished that is not where it should be
``bad_gso_type``      no type of super-packet that can be, or be cut
``bad_gso_size``      segments of no size, or too many of them
``bad_tunnel``        a tunnel's headers that are not where the vnet header says
``bad_protocol``      a super-packet of another protocol than its type says
====================  ==============================================================

``Transport.reason`` has more, for packets that are well but whose transport cannot be read.
"""

from __future__ import annotations

from .arp import ARP, ARPView
from .checksum import checksum, ones_sum, pseudo_sum, transport_checksum, transport_checksum_ok, update_checksum
from .ethernet import BROADCAST_MAC, VLAN, Ethernet, EthernetView, format_mac, parse_mac
from .extension import MAX_EXTENSION_BYTES, MAX_EXTENSION_HEADERS, Fragment, FragmentView, walk_extensions
from .icmp import ICMP, ICMPView
from .icmpv6 import ICMPv6, ICMPv6View
from .ip import Flow, find_transport, flow, version
from .ipv4 import IPv4, IPv4View
from .ipv6 import IPv6, IPv6View
from .neighbor import NeighborAdvertisement, NeighborSolicitation, NeighborView, multicast_mac, solicited_node
from .protocols import EtherType, ICMPType, ICMPv6Type, Protocol, TCPFlag
from .replies import echo_reply, error_reply, packet_too_big, time_exceeded, unreachable
from .superpacket import (
    GSO_ECN,
    GSO_UDP_TUNNEL,
    GSO_UDP_TUNNEL_IPV4,
    GSO_UDP_TUNNEL_IPV6,
    GSOType,
    SuperPacket,
)
from .tcp import TCP, TCPOption, TCPView
from .text import describe, describe_frame
from .transport import Transport
from .udp import UDP, UDPView
from .value import Address, AddressLike
from .view import Buffer, Field, View
from .vnet import VNET_HEADER_SIZE, VNET_MRG_HEADER_SIZE, VNET_TUNNEL_HEADER_SIZE, pack_vnet, parse_vnet

__all__ = [
    # .checksum
    "checksum",
    "ones_sum",
    "pseudo_sum",
    "transport_checksum",
    "transport_checksum_ok",
    "update_checksum",
    # .protocols
    "EtherType",
    "ICMPType",
    "ICMPv6Type",
    "Protocol",
    "TCPFlag",
    # .ip
    "Flow",
    "find_transport",
    "flow",
    "version",
    # .transport
    "Transport",
    # .ipv4
    "IPv4",
    "IPv4View",
    # .ipv6
    "IPv6",
    "IPv6View",
    # .extension
    "Fragment",
    "FragmentView",
    "MAX_EXTENSION_BYTES",
    "MAX_EXTENSION_HEADERS",
    "walk_extensions",
    # .tcp
    "TCP",
    "TCPOption",
    "TCPView",
    # .udp
    "UDP",
    "UDPView",
    # .icmp
    "ICMP",
    "ICMPView",
    # .icmpv6
    "ICMPv6",
    "ICMPv6View",
    # .neighbor
    "NeighborAdvertisement",
    "NeighborSolicitation",
    "NeighborView",
    "multicast_mac",
    "solicited_node",
    # .ethernet
    "BROADCAST_MAC",
    "Ethernet",
    "EthernetView",
    "VLAN",
    "format_mac",
    "parse_mac",
    # .arp
    "ARP",
    "ARPView",
    # .replies
    "echo_reply",
    "error_reply",
    "packet_too_big",
    "time_exceeded",
    "unreachable",
    # .superpacket
    "GSO_ECN",
    "GSO_UDP_TUNNEL",
    "GSO_UDP_TUNNEL_IPV4",
    "GSO_UDP_TUNNEL_IPV6",
    "GSOType",
    "SuperPacket",
    # .vnet
    "VNET_HEADER_SIZE",
    "VNET_MRG_HEADER_SIZE",
    "VNET_TUNNEL_HEADER_SIZE",
    "pack_vnet",
    "parse_vnet",
    # .text
    "describe",
    "describe_frame",
    # .view
    "Buffer",
    "Field",
    "View",
    # .value
    "Address",
    "AddressLike",
]
