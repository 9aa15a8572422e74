"""Telling senders how long a packet may be: path MTU discovery, the router's part."""

from __future__ import annotations

from ..batch import longest
from ..packet import SuperPacket
from ..pipeline import Batch, Outcome
from .errors import ICMPErrors
from .stock import Stock

__all__ = ["packet_too_big"]


class packet_too_big(Stock):
    """
    Drop the packets that are longer than *mtu* and may not be fragmented, and tell their senders.

    Those are all of IPv6, and those of IPv4 with DF; the others of IPv4 pass, for ``fragment`` behind or instead.
    Counted as ``too_big``. A super-packet passes whole if its segments fit. What is no IP packet and longer is dropped.

    Args:
        mtu: The largest IP packet that may pass, in bytes. IPv6 needs 1280: its senders take no less for an answer.
        errors: How to tell the sender; without it, connections hang on their first long packet.

    Raises:
        ValueError: If the mtu is less than the 68 bytes of RFC 791.

    RFC 1191 section 4, RFC 8201, RFC 4443 section 3.2.
    """

    __slots__ = ("_errors", "mtu")

    reason = "too_big"

    mtu: int
    """The largest IP packet that may pass, in bytes."""

    def __init__(self, mtu: int, errors: ICMPErrors | None = None) -> None:
        super().__init__()
        if not 68 <= mtu <= 0xFFFF:
            raise ValueError(f"{type(self).__name__}: the mtu is 68 to 65535 bytes, not {mtu}")
        self.mtu = mtu
        self._errors = errors

    def __call__(self, batch: Batch) -> Batch:
        if longest(batch) <= self.mtu:
            return batch
        mtu = self.mtu
        passed = Outcome()
        refused: list[bytes] = []
        for packet in batch:
            if len(packet) <= mtu or (isinstance(packet, SuperPacket) and packet.longest_segment <= mtu):
                passed.append(packet)
            elif packet[0] >> 4 == 4 and not packet[6] & 0x40:
                self._long(packet, passed)
            else:
                refused.append(packet)
        if refused:
            passed.dropped["too_big"] += len(refused)
            if self._errors is not None:
                self._errors.packet_too_big(refused, mtu)
        return self._counted(passed)

    def _long(self, packet: bytes, passed: Outcome) -> None:
        """Take an IPv4 packet that may be fragmented."""
        passed.append(packet)
