"""What makes a router of a path: one hop less for every packet."""

from __future__ import annotations

import struct

from ..pipeline import Batch, Outcome
from .errors import ICMPErrors
from .rewriting import rewritten
from .stock import Stock

__all__ = ["decrement_ttl"]

_BYTES = [bytes((octet,)) for octet in range(256)]
_WORDS = struct.Struct("!BBH")  # time to live, protocol and checksum of IPv4


class decrement_ttl(Stock):
    """
    Take one hop off every packet; one that has none left is dropped, and its sender told.

    Drops ``ttl_exceeded``, ``short_header`` and ``bad_version``. Super-packets pass whole; the error about one quotes
    its first segment.

    Args:
        errors: How to tell the sender; without it a packet disappears silently, and traceroute shows a gap.

    RFC 1812 section 5.3.1, RFC 8200 section 3, RFC 1624 section 3.
    """

    __slots__ = ("_errors",)

    reason = "ttl_exceeded"

    def __init__(self, errors: ICMPErrors | None = None) -> None:
        super().__init__()
        self._errors = errors

    def __call__(self, batch: Batch) -> Batch:
        passed = Outcome()
        expired: list[bytes] = []
        append, pack, unpack, join = passed.append, _WORDS.pack, _WORDS.unpack_from, b"".join
        for packet in batch:
            size = len(packet)
            version = packet[0] >> 4 if size else 0
            if version == 4 and size >= 20:
                ttl, protocol, total = unpack(packet, 8)
                if ttl < 2:
                    expired.append(packet)
                    continue
                # ~(~HC + ~m + m') where m' is m - 0x0100: RFC 1624 equation 3.
                total += 0x100
                octets = join(
                    (packet[:8], pack(ttl - 1, protocol, total - 0xFFFF if total >= 0xFFFF else total), packet[12:])
                )
            elif version == 6 and size >= 40:
                hops = packet[7]
                if hops < 2:
                    expired.append(packet)
                    continue
                octets = join((packet[:7], _BYTES[hops - 1], packet[8:]))
            else:
                passed.dropped["short_header" if version in (4, 6) or not size else "bad_version"] += 1
                continue
            append(octets if type(packet) is bytes else rewritten(packet, octets))
        if expired:
            passed.dropped["ttl_exceeded"] += len(expired)
            if self._errors is not None:
                self._errors.time_exceeded(expired)
        return self._counted(passed)
