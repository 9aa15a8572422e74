"""Writing new addresses and ports into packets, and following them in every sum. RFC 1624, RFC 3022 section 4."""

from __future__ import annotations

from ..packet import Protocol, checksum, pseudo_sum
from .nat_locating import CHECKSUMS, Located
from .nat_session import Rewriting
from .rewriting import is_partial, rewritten

__all__ = ["translate", "translate_error", "translate_later"]

_TCP = int(Protocol.TCP)
_UDP = int(Protocol.UDP)
_ICMP = int(Protocol.ICMP)


def translate(packet: bytes, found: Located, new: Rewriting, source: bool) -> bytes:
    """Return a packet with a new address and port; *source* says whether at its source end."""
    octets = bytearray(packet)
    _readdress(octets, 0, new, source)
    _report(octets, found, new, source, is_partial(packet, found.start))
    return rewritten(packet, bytes(octets))


def translate_later(packet: bytes, new: Rewriting, source: bool) -> bytes:
    """Return a fragment that is not the first with a new address."""
    octets = bytearray(packet)
    _readdress(octets, 0, new, source)
    return rewritten(packet, bytes(octets))


def translate_error(
    packet: bytes, found: Located, quoted: Located, at: int, outer: Rewriting, inner: Rewriting, source: bool
) -> bytes:
    """
    Return an ICMP error with new addresses, and so the packet that it quotes.

    Args:
        packet: The error, its checksum verified.
        found: Where its message is.
        quoted: Where the transport is in what it quotes.
        at: Where the IP header is in what it quotes.
        outer: What the error gets.
        inner: What the quoted packet gets, at the other end.
        source: Whether the error gets it at its source end.

    RFC 5508 section 4.
    """
    octets = bytearray(packet)
    _readdress(octets, 0, outer, source)
    _readdress(octets, at, inner, not source)
    _report(octets, quoted, inner, not source, False)
    # The sum was right, and covers whatever was quoted: it is made anew rather than updated six times.
    start, end = found.start, found.end
    octets[start + 2 : start + 4] = b"\0\0"
    pseudo = 0
    if found.protocol != _ICMP:
        pseudo = pseudo_sum(octets[8:24], octets[24:40], found.protocol, end - start)
    octets[start + 2 : start + 4] = checksum(octets[start:end], pseudo).to_bytes(2, "big")
    return bytes(octets)


def _readdress(octets: bytearray, at: int, new: Rewriting, source: bool) -> None:
    """Write an address into the IP header at *at*, and follow it in the header's sum."""
    size = len(new.address)
    place = at + (12 if size == 4 else 8) + (0 if source else size)
    octets[place : place + size] = new.address
    if size == 4:
        _add(octets, at + 10, new.address_change)


def _report(octets: bytearray, found: Located, new: Rewriting, source: bool, partial: bool) -> None:
    """Write a port into the transport header, and follow it and the address in the transport's sum, if it is there."""
    protocol, start = found.protocol, found.start
    port = start + (4 if protocol not in (_TCP, _UDP) else 0 if source else 2)
    octets[port : port + 2] = new.port
    place = start + CHECKSUMS[protocol]
    if place + 2 > found.end:
        return
    if partial:  # the field is the pseudo-header's sum, not complemented: ports are not in it
        total = (octets[place] << 8 | octets[place + 1]) + new.address_change
        octets[place : place + 2] = (total % 0xFFFF or 0xFFFF).to_bytes(2, "big")
    elif protocol == _ICMP:  # without a pseudo-header
        _add(octets, place, new.port_change)
    elif protocol != _UDP:
        _add(octets, place, new.change)
    elif octets[place] or octets[place + 1]:  # 0 says that there is none, and stays; a computed 0 is 0xffff
        _add(octets, place, new.change)
        if not (octets[place] or octets[place + 1]):
            octets[place : place + 2] = b"\xff\xff"


def _add(octets: bytearray, place: int, change: int) -> None:
    """Follow a *change* of the words under a checksum: ~(~HC + change) is HC - change. RFC 1624 equation 3."""
    octets[place : place + 2] = (((octets[place] << 8 | octets[place + 1]) - change) % 0xFFFF).to_bytes(2, "big")
