"""Telling both ends of a TCP connection how long their segments may be on this way."""

from __future__ import annotations

from ..packet import Protocol, TCPFlag, TCPView, find_transport, update_checksum
from ..pipeline import Batch
from .rewriting import is_partial, rewritten
from .stock import Stock

__all__ = ["clamp_mss"]

_TCP = int(Protocol.TCP)
_SYN = int(TCPFlag.SYN)
_FIXED = {4: 20 + 20, 6: 40 + 20}  # the headers without options: RFC 6691


class clamp_mss(Stock):
    """
    Lower the maximum segment size in every SYN to what fits *mtu*; one that is low enough stays.

    Drops nothing. Whatever cannot be read to the end, fragments among it, passes untouched, as does a SYN without
    the option. Extension headers are stepped over.

    Args:
        mtu: The largest IP packet that the way carries, in bytes: segments of IPv4 get 40 less, of IPv6 60 less.

    Raises:
        ValueError: If the mtu leaves no room for a segment.

    RFC 9293 section 3.7.1, RFC 6691, RFC 1624.
    """

    __slots__ = ("_limits", "mtu")

    reason = "clamp_mss"

    mtu: int
    """The largest IP packet that the way carries, in bytes."""

    def __init__(self, mtu: int) -> None:
        super().__init__()
        if not 61 <= mtu <= 0xFFFF:
            raise ValueError(f"the mtu to clamp to is 61 to 65535 bytes, not {mtu}")
        self.mtu = mtu
        self._limits = {version: mtu - fixed for version, fixed in _FIXED.items()}

    def __call__(self, batch: Batch) -> Batch:
        # Nearly every packet is told apart by its bytes alone: TCP behind a plain header, its SYN bit not set.
        clamped: list[bytes] | None = None
        for index, packet in enumerate(batch):
            if len(packet) < 44:  # a SYN with the option takes 20 + 24
                continue
            first = packet[0]
            if first == 0x45:
                if packet[9] != 6 or not packet[33] & 2:
                    continue
            elif first >> 4 == 6:
                after = packet[6]
                if after == 17 or (after == 6 and (len(packet) < 64 or not packet[53] & 2)):
                    continue
            changed = self._clamp(packet)
            if changed is not None:
                if clamped is None:
                    clamped = list(batch)
                clamped[index] = changed
        return batch if clamped is None else clamped

    def _clamp(self, packet: bytes) -> bytes | None:
        """Return the packet with a lower maximum segment size, or None if it stays as it is."""
        protocol, start, end, _ = find_transport(packet)
        if protocol != _TCP:
            return None
        view = TCPView(packet, start, end)
        at = view.mss_offset
        if at is None or not view.flags & _SYN:
            return None
        limit = self._limits[packet[0] >> 4]
        if packet[at] << 8 | packet[at + 1] <= limit:
            return None
        octets = bytearray(packet)
        octets[at : at + 2] = limit.to_bytes(2, "big")
        if not is_partial(packet, start):  # only a finished checksum covers the option
            odd = (at - start) % 2  # an option begins on any byte, a word of the checksum on an even one
            word = slice(at - odd, at + 2 + odd)
            old, new = int.from_bytes(packet[word], "big"), int.from_bytes(octets[word], "big")
            total = update_checksum(view.checksum, old, new)
            octets[start + 16 : start + 18] = total.to_bytes(2, "big")
        return rewritten(packet, bytes(octets))
