"""
What entered, sorted by who takes it: frames by a tap, packets by a tun.

Modelled on ether_input(), and the first checks of ip_input() and ip6_input(), of the BSDs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from ..driver.families import Family
from ..driver.superpackets import flaw, without
from ..packet import EtherType, ICMPv6Type, Protocol

__all__ = ["Demuxed", "demux", "trim"]

HEADER = 14
ARP, IPV4, IPV6 = (kind.to_bytes(2, "big") for kind in (EtherType.ARP, EtherType.IPV4, EtherType.IPV6))
TAGS = tuple(kind.to_bytes(2, "big") for kind in (EtherType.VLAN, EtherType.SERVICE_VLAN))
OTHERS = {b"\x81\x37": Family.IPX}
DISCOVERY = ICMPv6Type.NEIGHBOR_SOLICITATION, ICMPv6Type.NEIGHBOR_ADVERTISEMENT


@attrs.define
class Demuxed:
    """One batch, taken apart."""

    packets: list[bytes] = attrs.Factory(list)
    """IPv4 and IPv6, without Ethernet header and padding."""
    frames: list[bytes] = attrs.Factory(list)
    """The frames they came in, one for one; none of those that came in none."""
    neighbors: list[bytes] = attrs.Factory(list)
    """ARP and neighbor discovery, as frames."""
    others: dict[Family, list[bytes]] = attrs.Factory(dict)
    """Packets of other families, without header; padding stays."""
    dropped: Counter[str] = attrs.Factory(Counter)
    """How many are for nobody here, by reason."""


def demux(mac: bytes, frames: list[bytes]) -> Demuxed:
    """
    Take apart what entered by the tap whose address is *mac*.

    Reasons to drop: ``short_header``, ``not_for_us`` (another station's), ``bad_source`` (from a group), ``vlan``,
    ``unsupported_family`` (neither IP nor ARP nor IPX), those of an IP header that does not fit its frame, and of a
    super-packet that could not be cut. One that could stays whole.
    """
    found = Demuxed()
    for frame in frames:
        reason = _take(found, mac, frame)
        if reason:
            found.dropped[reason] += 1
    return found


def trim(packets: Sequence[bytes]) -> Demuxed:
    """
    Take packets that came in no frame, each as long as its header says.

    Reasons to drop: ``short_header``, ``bad_length`` (longer than what came), ``unsupported_family`` (not IP), and
    those of a super-packet that could not be cut. One that could stays whole.
    """
    found = Demuxed()
    keep = found.packets.append
    for packet in packets:
        if type(packet) is not bytes and (reason := flaw(packet, False)):
            found.dropped[reason] += 1
            continue
        size = len(packet)
        version = packet[0] >> 4 if packet else 4
        if version == 4:
            if size >= 20 and packet[2] << 8 | packet[3] == size:  # nearly all are so
                keep(packet)
                continue
            end, reason = _end4(packet, 0)
        elif version == 6:
            if size >= 40 and (packet[4] << 8 | packet[5]) + 40 == size:
                keep(packet)
                continue
            end, reason = _end6(packet, 0)
        else:
            end, reason = 0, "unsupported_family"
        if reason:
            found.dropped[reason] += 1
        else:
            keep(without(packet, 0, end))
    return found


def _take(found: Demuxed, mac: bytes, frame: bytes) -> str:
    """Put the frame where it belongs, or return why not."""
    if type(frame) is not bytes and (reason := flaw(frame, True)):
        return reason
    if len(frame) < HEADER:
        return "short_header"
    if frame[:6] != mac and not frame[0] & 1:
        return "not_for_us"
    if frame[6] & 1:
        return "bad_source"
    kind = frame[12:14]
    if kind in (IPV4, IPV6):
        end, reason = _end4(frame, HEADER) if kind == IPV4 else _end6(frame, HEADER)
        if reason:
            return reason
        if kind == IPV6 and end > 54 and frame[20] == Protocol.ICMPV6 and frame[54] in DISCOVERY:
            found.neighbors.append(frame)
        else:
            found.packets.append(without(frame, HEADER, end))
            found.frames.append(frame)
        return ""
    if kind == ARP:
        found.neighbors.append(frame)
        return ""
    family = OTHERS.get(kind)
    if family is None:
        return "vlan" if kind in TAGS else "unsupported_family"
    found.others.setdefault(family, []).append(frame[HEADER:])
    return ""


def _end4(buffer: bytes, start: int) -> tuple[int, str]:
    """Return where the IPv4 packet at *start* ends, and padding begins, or what is wrong."""
    if len(buffer) < start + 20:
        return 0, "short_header"
    if buffer[start] >> 4 != 4:
        return 0, "bad_version"
    end = start + (buffer[start + 2] << 8 | buffer[start + 3])
    return end, "" if start + 20 <= end <= len(buffer) else "bad_length"


def _end6(buffer: bytes, start: int) -> tuple[int, str]:
    if len(buffer) < start + 40:
        return 0, "short_header"
    if buffer[start] >> 4 != 6:
        return 0, "bad_version"
    end = start + 40 + (buffer[start + 4] << 8 | buffer[start + 5])
    return end, "" if end <= len(buffer) else "bad_length"
