"""Cutting IPv4 packets into fragments."""

from __future__ import annotations

from ..packet import IPv4View, checksum
from ..pipeline import Outcome
from .packet_too_big import packet_too_big

__all__ = ["fragment"]

_MF = 0x2000
_COPIED = 0x80
_END, _NO_OPERATION = 0, 1


class fragment(packet_too_big):
    """
    Cut what is longer than *mtu*: IPv4 without DF. Everything else that is longer is dropped, its sender told.

    The first fragment has all options, the others those that are to be copied. A fragment is cut into smaller ones. A
    router never cuts IPv6. Drops ``too_big``, and of what would have to be cut ``bad_checksum`` (a header whose sum is
    wrong is not given a right one), ``bad_ihl``, ``bad_length`` and ``bad_option``. Super-packets are cut in front.

    Args:
        mtu: The largest IP packet that may pass, in bytes.
        errors: How to tell the sender of what may not be cut.

    Raises:
        ValueError: If the mtu is less than the 68 bytes of RFC 791.

    RFC 791 section 3.2, RFC 1812 section 4.2.2.7.
    """

    __slots__ = ()

    superpackets = False

    def _long(self, packet: bytes, passed: Outcome) -> None:
        pieces = self._cut(packet)
        if isinstance(pieces, str):
            passed.dropped[pieces] += 1
        else:
            passed.created += len(pieces) - 1
            passed += pieces

    def _cut(self, packet: bytes) -> list[bytes] | str:
        """Return the fragments of a packet, or why there are none."""
        view = IPv4View(packet)
        end = view.total_length
        reason = view.transport.reason
        if reason not in ("", "fragment"):
            return reason
        if not view.checksum_ok:
            return "bad_checksum"
        if end <= self.mtu:  # the rest was padding
            return [packet[:end]]
        start = view.header_length
        copied = _copied(view.options)
        if copied is None:
            return "bad_option"
        first, later = packet[:start], packet[:20] + copied
        place = packet[6] << 8 | packet[7]
        pieces = []
        header, at = first, start
        while at < end:
            size = self.mtu - len(header)
            if at + size >= end:
                pieces.append(_built(header, place + (at - start) // 8, packet[at:end]))
                break
            size &= ~7
            pieces.append(_built(header, place + (at - start) // 8 | _MF, packet[at : at + size]))
            header, at = later, at + size
        return pieces


def _built(header: bytes, place: int, payload: bytes) -> bytes:
    """Return a fragment with its length, its place and its sum."""
    octets = bytearray(header)
    octets[0] = 0x40 | len(header) // 4
    octets[2:4] = (len(header) + len(payload)).to_bytes(2, "big")
    octets[6:8] = place.to_bytes(2, "big")
    octets[10:12] = b"\0\0"
    octets[10:12] = checksum(octets).to_bytes(2, "big")
    return bytes(octets) + payload


def _copied(options: bytes) -> bytes | None:
    """Return the options that go into every fragment, padded; None if they cannot be told apart."""
    copied = b""
    at = 0
    while at < len(options) and options[at] != _END:
        if options[at] == _NO_OPERATION:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            return None
        if options[at] & _COPIED:
            copied += options[at : at + size]
        at += size
    return copied + bytes(-len(copied) % 4)
