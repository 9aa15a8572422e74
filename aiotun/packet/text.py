"""One line of text for any bytes, much as tcpdump prints them; for logs, errors and people."""

from __future__ import annotations

from ..errors import PacketError
from .arp import ARPView
from .ethernet import EthernetView, format_mac
from .icmp import ICMPView
from .icmpv6 import ICMPv6View
from .ip import version
from .ipv4 import IPv4View
from .ipv6 import IPv6View
from .neighbor import NeighborView
from .protocols import EtherType, ICMPType, ICMPv6Type, Protocol, TCPFlag
from .tcp import TCPView
from .transport import Transport
from .udp import UDPView
from .view import Buffer

__all__ = ["describe", "describe_frame"]

_FLAGS = (
    (TCPFlag.SYN, "S"),
    (TCPFlag.FIN, "F"),
    (TCPFlag.RST, "R"),
    (TCPFlag.PSH, "P"),
    (TCPFlag.ACK, "."),
    (TCPFlag.URG, "U"),
    (TCPFlag.ECE, "E"),
    (TCPFlag.CWR, "W"),
    (TCPFlag.AE, "e"),
)
_PROTOCOLS = {int(p): p.name.replace("_", " ").lower() for p in Protocol}
_ICMP = {int(t): t.name.replace("_", " ").lower() for t in ICMPType}
_ICMPV6 = {int(t): t.name.replace("_", " ").lower() for t in ICMPv6Type}
_ECHOES = {ICMPType.ECHO_REPLY, ICMPType.ECHO_REQUEST}
_ECHOES6 = {ICMPv6Type.ECHO_REPLY, ICMPv6Type.ECHO_REQUEST}
_NEIGHBORS = {ICMPv6Type.NEIGHBOR_SOLICITATION, ICMPv6Type.NEIGHBOR_ADVERTISEMENT}


def describe(packet: Buffer) -> str:
    """
    Return one line about *packet*, whatever its bytes are; never raises.

    Such as ``10.0.0.1.1234 > 10.0.0.2.80: TCP [S] seq 1 win 64240 length 0``, or what is wrong
    with it. The format is for people and may change.
    """
    return _describe(packet, 0, len(packet))


def describe_frame(frame: Buffer) -> str:
    """Return one line about *frame*, an Ethernet frame, whatever its bytes are; never raises."""
    view = EthernetView(frame)
    try:
        view.check()
    except PacketError as error:
        return f"malformed: {error}"
    tags = "".join(f" vlan {tag.vid}" for tag in view.vlans)
    ends = f"{format_mac(view.src)} > {format_mac(view.dst)}{tags}"
    at = view.payload_offset
    match view.ethertype:
        case EtherType.IPV4 | EtherType.IPV6:
            return f"{ends}: {_describe(frame, at, view.end)}"
        case EtherType.ARP:
            return f"{ends}: {_arp(ARPView(frame, at))}"
        case None:
            return f"{ends}: 802.3 length {view.type_or_length}"
        case other:
            return f"{ends}: ethertype 0x{other:04x} length {view.end - at}"


def _describe(buffer: Buffer, offset: int, end: int) -> str:
    kind = version(buffer[offset : offset + 1])
    view: IPv4View | IPv6View
    if kind == 4:
        view = IPv4View(buffer, offset, end)
    elif kind == 6:
        view = IPv6View(buffer, offset, end)
    else:
        return f"malformed: IP version is {kind}, {end - offset} bytes" if end > offset else "malformed: empty packet"
    try:
        view.check()
    except PacketError as error:
        return f"malformed: {error}"
    return _ip(view, view.transport)


def _ip(view: IPv4View | IPv6View, transport: Transport) -> str:
    src, dst = str(view.src), str(view.dst)
    protocol, start, end, reason = transport
    named = view.protocol if isinstance(view, IPv4View) else view.next_header
    size = f"length {end - start}"
    if reason == "fragment" and isinstance(view, IPv4View):
        more = "+" if view.more_fragments else ""
        place = f"id {view.identification} offset {view.fragment_offset * 8}{more}"
        return f"{src} > {dst}: {_name(named)} fragment {place} {size}"
    if protocol is None:
        return f"{src} > {dst}: {_name(named)} ({reason}) {size}"
    # One table would hide that each takes a different kind of view.
    buffer = view.buffer
    match protocol:
        case Protocol.TCP:
            return _tcp(TCPView(buffer, start, end), src, dst)
        case Protocol.UDP:
            return _udp(UDPView(buffer, start, end), src, dst)
        case Protocol.ICMP:
            return f"{src} > {dst}: ICMP {_icmp(ICMPView(buffer, start, end))}"
        case Protocol.ICMPV6:
            return f"{src} > {dst}: ICMPv6 {_icmpv6(ICMPv6View(buffer, start, end))}"
        case _:
            return f"{src} > {dst}: {_name(protocol)} {size}"


def _name(protocol: int) -> str:
    return _PROTOCOLS.get(protocol, f"protocol {protocol}")


def _tcp(view: TCPView, src: str, dst: str) -> str:
    try:
        view.check()
    except PacketError as error:
        return f"{src} > {dst}: malformed: {error}"
    flags = "".join(letter for bit, letter in _FLAGS if view.flags & bit) or "none"
    ack = f" ack {view.ack}" if view.flags & TCPFlag.ACK else ""
    size = view.end - view.payload_offset
    ends = f"{src}.{view.src_port} > {dst}.{view.dst_port}"
    return f"{ends}: TCP [{flags}] seq {view.seq}{ack} win {view.window} length {size}"


def _udp(view: UDPView, src: str, dst: str) -> str:
    try:
        view.check()
    except PacketError as error:
        return f"{src} > {dst}: malformed: {error}"
    return f"{src}.{view.src_port} > {dst}.{view.dst_port}: UDP length {view.length - 8}"


def _icmp(view: ICMPView) -> str:
    if view.available < 8:
        return "cut short"
    text = _ICMP.get(view.type, f"type {view.type}")
    if view.type in _ECHOES:
        text += f" id {view.identifier} seq {view.sequence}"
    elif view.type == ICMPType.UNREACHABLE and view.code == 4:
        text += f" code 4 mtu {view.mtu}"
    else:
        text += f" code {view.code}"
    return f"{text} length {view.available}"


def _icmpv6(view: ICMPv6View) -> str:
    if view.available < 8:
        return "cut short"
    text = _ICMPV6.get(view.type, f"type {view.type}")
    if view.type in _ECHOES6:
        text += f" id {view.identifier} seq {view.sequence}"
    elif view.type == ICMPv6Type.PACKET_TOO_BIG:
        text += f" mtu {view.mtu}"
    elif view.type in _NEIGHBORS:
        text += f" {NeighborView(view.buffer, view.offset, view.end).target}"
    else:
        text += f" code {view.code}"
    return f"{text} length {view.available}"


def _arp(view: ARPView) -> str:
    try:
        view.check()
    except PacketError as error:
        return f"malformed: {error}"
    if view.operation == 1:
        return f"ARP who has {view.target_ip}, tell {view.sender_ip}"
    if view.operation == 2:
        return f"ARP {view.sender_ip} is at {format_mac(view.sender_mac)}"
    return f"ARP operation {view.operation}"
