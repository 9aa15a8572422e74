"""Frames that entered by a tap, sorted by who takes them. Modelled on ether_input() of the BSDs."""

from __future__ import annotations

from collections import Counter

import attrs

from ..driver.families import Family
from ..packet import EtherType, ICMPv6Type, Protocol

__all__ = ["Demuxed", "demux"]

HEADER = 14
ARP, IPV4, IPV6 = (kind.to_bytes(2, "big") for kind in (EtherType.ARP, EtherType.IPV4, EtherType.IPV6))
TAGS = tuple(kind.to_bytes(2, "big") for kind in (EtherType.VLAN, EtherType.SERVICE_VLAN))
OTHERS = {b"\x81\x37": Family.IPX}
DISCOVERY = ICMPv6Type.NEIGHBOR_SOLICITATION, ICMPv6Type.NEIGHBOR_ADVERTISEMENT


@attrs.define
class Demuxed:
    """One batch, taken apart."""

    packets: list[bytes] = attrs.Factory(list)
    """IPv4 and IPv6, without header and padding."""
    frames: list[bytes] = attrs.Factory(list)
    """The frames they came in, one for one."""
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
    ``unsupported_family`` (neither IP nor ARP nor IPX), and those of an IP header that does not fit its frame.
    """
    found = Demuxed()
    for frame in frames:
        reason = _take(found, mac, frame)
        if reason:
            found.dropped[reason] += 1
    return found


def _take(found: Demuxed, mac: bytes, frame: bytes) -> str:
    """Put the frame where it belongs, or return why not."""
    if len(frame) < HEADER:
        return "short_header"
    if frame[:6] != mac and not frame[0] & 1:
        return "not_for_us"
    if frame[6] & 1:
        return "bad_source"
    kind = frame[12:14]
    if kind in (IPV4, IPV6):
        end, reason = _end4(frame) if kind == IPV4 else _end6(frame)
        if reason:
            return reason
        if kind == IPV6 and end > 54 and frame[20] == Protocol.ICMPV6 and frame[54] in DISCOVERY:
            found.neighbors.append(frame)
        else:
            found.packets.append(frame[HEADER:end])
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


def _end4(frame: bytes) -> tuple[int, str]:
    """Return where the IPv4 packet ends, and the frame's padding begins, or what is wrong."""
    if len(frame) < HEADER + 20:
        return 0, "short_header"
    if frame[14] >> 4 != 4:
        return 0, "bad_version"
    end = HEADER + (frame[16] << 8 | frame[17])
    return end, "" if HEADER + 20 <= end <= len(frame) else "bad_length"


def _end6(frame: bytes) -> tuple[int, str]:
    if len(frame) < HEADER + 40:
        return 0, "short_header"
    if frame[14] >> 4 != 6:
        return 0, "bad_version"
    end = HEADER + 40 + (frame[18] << 8 | frame[19])
    return end, "" if end <= len(frame) else "bad_length"
