"""
What ARP (RFC 826) and neighbor discovery (RFC 4861) say on a tap: frames to claims, and questions to frames.

Pure and without memory: what is remembered is in ``neighbors``. A frame that is malformed, or says what
only we may say, raises PacketError with the reason it is counted under.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

import attrs

from ..errors import PacketError
from ..packet import (
    ARP,
    BROADCAST_MAC,
    ARPView,
    Ethernet,
    EtherType,
    ICMPv6Type,
    IPv6,
    IPv6View,
    NeighborSolicitation,
    NeighborView,
    Protocol,
    multicast_mac,
    solicited_node,
)
from .link import EthernetLink
from .routes import choose_source

__all__ = ["Claim", "group_mac", "hear", "question"]

ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
SOLICITED_NODES = bytes.fromhex("ff0200000000000000000001ff")
UNSPECIFIED = bytes(4), bytes(16)
IPV6 = EtherType.IPV6.to_bytes(2, "big")


class Claim(NamedTuple):
    """What a frame says of where a neighbor is."""

    address: bytes | None
    """Whose address, 4 or 16 bytes; None if the sender has none yet."""
    mac: bytes | None
    """Where it is; None if it does not say."""
    answer: bytes | None = None
    """The frame that answers it, if it asks for an address of ours."""
    confirms: bool = False
    """Whether it is an answer to us, if we asked."""
    override: bool = True
    """Whether it replaces what is known."""
    unknown: str = "unsolicited"
    """The reason to drop it under, if the neighbor is not known and it asks us nothing."""


def hear(link: EthernetLink, frame: bytes) -> Claim:
    """
    Return what an ARP or neighbor discovery frame says.

    Raises:
        PacketError: With a reason of the packet room; ``spoofed`` if it claims an address of ours, or one that
            is nobody's; ``bad_hop_limit`` if it came through a router; ``not_for_us``.
    """
    return _discovery(link, frame) if frame[12:14] == IPV6 else _arp(link, frame)


def _arp(link: EthernetLink, frame: bytes) -> Claim:
    view = ARPView(frame, 14)
    view.check()
    mac, sender = view.sender_mac, view.sender_ip_bytes
    if view.operation not in (1, 2) or not _is_station(mac):
        raise _refused("bad_arp")
    own = _own(link)
    if mac == link.mac or sender in own or group_mac(link, sender) is not None:
        raise _refused("spoofed")
    asks, ours = view.operation == 1, view.target_ip_bytes in own
    # RFC 5227 section 2.1.1: a probe, whose sender has no address yet, is answered like any other request.
    address = None if sender in UNSPECIFIED else sender
    answer = ARP.parse(frame[14:]).reply(link.mac).frame() if asks and ours else None
    return Claim(address, mac, answer, not asks and ours, unknown="unsolicited" if ours else "not_for_us")


def _discovery(link: EthernetLink, frame: bytes) -> Claim:
    packet = IPv6View(frame, 14)
    packet.check()
    if packet.hop_limit != 255:  # RFC 4861 section 7.1: it came through a router
        raise _refused("bad_hop_limit")
    view = NeighborView(frame, packet.payload_offset, packet.packet_end)
    view.check()
    if not view.checksum_ok(packet.src_bytes, packet.dst_bytes):
        raise _refused("bad_checksum")
    mac, own = view.link_layer, _own(link)
    if mac is not None and not _is_station(mac):
        raise _refused("bad_neighbor")
    if mac == link.mac or packet.src_bytes in own:
        raise _refused("spoofed")
    ours = view.target_bytes in own
    if view.type == ICMPv6Type.NEIGHBOR_SOLICITATION:
        return _solicitation(link, packet, view, ours)
    if ours:
        raise _refused("spoofed")
    if view.solicited and packet.dst_bytes[0] == 0xFF:  # RFC 4861 section 7.1.2
        raise _refused("bad_neighbor")
    return Claim(view.target_bytes, mac, confirms=view.solicited, override=view.override)


def _solicitation(link: EthernetLink, packet: IPv6View, view: NeighborView, ours: bool) -> Claim:
    src, mac = packet.src_bytes, view.link_layer
    nobody = src in UNSPECIFIED  # RFC 4861 section 7.1.1: it makes sure that nobody else has the address
    if src[0] == 0xFF or (nobody and (mac or not packet.dst_bytes.startswith(SOLICITED_NODES))):
        raise _refused("bad_neighbor")
    if not ours:
        raise _refused("not_for_us")
    target = view.target_bytes
    dst = ALL_NODES if nobody else src
    where = multicast_mac(ALL_NODES) if nobody else mac or bytes(packet.buffer[6:12])
    advertisement = attrs.evolve(NeighborSolicitation(target).advertise(link.mac), solicited=not nobody)
    answer = _frame6(where, link.mac, target, dst, advertisement.build(target, dst))
    return Claim(None if nobody else src, mac, answer)


def question(link: EthernetLink, address: bytes, mac: bytes | None) -> bytes | None:
    """
    Return the frame that asks for a neighbor, everybody, or the neighbor itself if it was at *mac*.

    None if the interface has no address of that IP version to ask from.
    """
    source = choose_source(link.addresses, ip_address(address))
    if source is None:
        return None
    if len(address) == 4:
        request = ARP.request(link.mac, source, address).build()
        return Ethernet(mac or BROADCAST_MAC, link.mac, EtherType.ARP, request).build()
    group = solicited_node(address)
    dst = address if mac else group.packed
    message = NeighborSolicitation(address, link.mac).build(source, dst)
    return _frame6(mac or multicast_mac(group), link.mac, source.packed, dst, message)


def group_mac(link: EthernetLink, address: bytes) -> bytes | None:
    """Return the Ethernet address of a group, or of everybody; None for the address of one host."""
    if len(address) == 16:
        return multicast_mac(address) if address[0] == 0xFF else None  # RFC 2464 section 7
    if address[0] >> 4 == 0xE:  # RFC 1112 section 6.4
        return b"\x01\x00\x5e" + bytes((address[1] & 0x7F,)) + address[2:]
    # RFC 3021: a network of two hosts has no address for everybody.
    networks = (one.network for one in link.addresses if one.version == 4 and one.network.prefixlen <= 30)
    everybody = address == b"\xff" * 4 or any(one.broadcast_address.packed == address for one in networks)
    return BROADCAST_MAC if everybody else None


def _frame6(mac: bytes, own: bytes, src: bytes, dst: bytes, message: bytes) -> bytes:
    packet = IPv6(src, dst, Protocol.ICMPV6, message, hop_limit=255).build()
    return Ethernet(mac, own, EtherType.IPV6, packet).build()


def _is_station(mac: bytes) -> bool:
    return not mac[0] & 1 and any(mac)


def _own(link: EthernetLink) -> set[bytes]:
    return {address.ip.packed for address in link.addresses}


def _refused(reason: str) -> PacketError:
    return PacketError(reason=reason)
