"""Counting packets and bytes by what they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import attrs

from ..packet import find_transport
from ..pipeline import Batch
from .stock import Stock

__all__ = ["Count", "count", "protocol_of"]


@attrs.frozen
class Count:
    """What was counted under one key."""

    packets: int
    """Packets; a super-packet is one."""
    bytes: int
    """Their lengths together, in bytes."""


def protocol_of(packet: bytes) -> int | None:
    """
    Return the number of the transport protocol of a packet, behind all extension headers; None if there is none.

    A fragment of IPv4 is of the protocol that its header names; one of IPv6 is of protocol 44.
    """
    if len(packet) >= 20:
        first = packet[0] >> 4
        if first == 4:
            return packet[9]
        if first == 6 and len(packet) >= 40:
            after = packet[6]
            if after in (6, 17, 58):
                return after
            protocol, _, _, reason = find_transport(packet)
            return 44 if reason in ("fragment", "atomic_fragment") else protocol
    return None


class count(Stock):
    """
    Count packets and bytes by a key, and let everything pass.

    Args:
        key: Returns what to count a packet under: by default the number of its transport protocol. ``packet.flow``
            counts conversations.
        limit: How many keys there are at most; packets of any more are counted under ``None`` together.
    """

    __slots__ = ("_counts", "_key", "_limit")

    reason = "count"

    def __init__(self, key: Callable[[bytes], Hashable] = protocol_of, *, limit: int = 1024) -> None:
        super().__init__()
        if limit < 1:
            raise ValueError(f"count: there is at least 1 key, not {limit}")
        self._key = key
        self._limit = limit
        self._counts: dict[Hashable, list[int]] = {}

    @property
    def counts(self) -> dict[Hashable, Count]:
        """What was counted, by key; a copy."""
        return {key: Count(packets, size) for key, (packets, size) in self._counts.items()}

    @property
    def total(self) -> Count:
        """All that was counted."""
        entries = self._counts.values()
        return Count(sum(packets for packets, _ in entries), sum(size for _, size in entries))

    def clear(self) -> None:
        """Begin anew."""
        self._counts.clear()

    def __call__(self, batch: Batch) -> Batch:
        counts, key_of = self._counts, self._key
        for packet in batch:
            key = key_of(packet)
            entry = counts.get(key)
            if entry is None:
                entry = self._new(key)
            entry[0] += 1
            entry[1] += len(packet)
        return batch

    def _new(self, key: Hashable) -> list[int]:
        """Return the entry of a key that has none: its own, or that of the many."""
        if len(self._counts) - (None in self._counts) >= self._limit:
            key = None
        return self._counts.setdefault(key, [0, 0])
