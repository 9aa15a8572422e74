"""The assigned numbers this room knows, from the IANA registries, as integer enumerations."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = ["EtherType", "ICMPType", "ICMPv6Type", "Protocol", "TCPFlag"]


class Protocol(IntEnum):
    """
    IP protocol and IPv6 next-header numbers.

    https://www.iana.org/assignments/protocol-numbers
    """

    HOP_BY_HOP = 0
    ICMP = 1
    IGMP = 2
    IPV4 = 4
    TCP = 6
    UDP = 17
    DCCP = 33
    IPV6 = 41
    ROUTING = 43
    FRAGMENT = 44
    GRE = 47
    ESP = 50
    AH = 51
    ICMPV6 = 58
    NO_NEXT = 59
    DESTINATION = 60
    OSPF = 89
    PIM = 103
    VRRP = 112
    L2TP = 115
    SCTP = 132
    MOBILITY = 135
    UDPLITE = 136
    MPLS = 137
    HIP = 139
    SHIM6 = 140


class EtherType(IntEnum):
    """
    Ethernet payload types; below 0x600 the field is an IEEE 802.3 length instead.

    https://www.iana.org/assignments/ieee-802-numbers
    """

    IPV4 = 0x0800
    ARP = 0x0806
    VLAN = 0x8100
    IPV6 = 0x86DD
    SERVICE_VLAN = 0x88A8


class TCPFlag(IntFlag):
    """The control bits of RFC 9293 section 3.1, and AE of RFC 9768 (accurate ECN)."""

    FIN = 0x001
    SYN = 0x002
    RST = 0x004
    PSH = 0x008
    ACK = 0x010
    URG = 0x020
    ECE = 0x040
    CWR = 0x080
    AE = 0x100


class ICMPType(IntEnum):
    """ICMP types, RFC 792."""

    ECHO_REPLY = 0
    UNREACHABLE = 3
    SOURCE_QUENCH = 4
    REDIRECT = 5
    ECHO_REQUEST = 8
    TIME_EXCEEDED = 11
    PARAMETER_PROBLEM = 12


class ICMPv6Type(IntEnum):
    """ICMPv6 types, RFC 4443 and RFC 4861; those below 128 are errors."""

    UNREACHABLE = 1
    PACKET_TOO_BIG = 2
    TIME_EXCEEDED = 3
    PARAMETER_PROBLEM = 4
    ECHO_REQUEST = 128
    ECHO_REPLY = 129
    ROUTER_SOLICITATION = 133
    ROUTER_ADVERTISEMENT = 134
    NEIGHBOR_SOLICITATION = 135
    NEIGHBOR_ADVERTISEMENT = 136
    REDIRECT = 137
