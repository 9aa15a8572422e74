"""What waits for room in one endpoint: fair between those it comes from, bounded in packets and in bytes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ..batch import nbytes
from ..queueing import FairQueue
from ..queueing.discipline import whole

__all__ = ["RouterQueue"]


class RouterQueue(FairQueue):
    """
    A FairQueue that is bounded in bytes as well, and cheap to overfill: for a peer that is dead it is all there is.

    Whoever has most bytes in it loses its oldest packets, up to half of them at a time, counted as ``overlimit``.
    That is done once for each batch, where FairQueue does it for each packet: 0.4 us instead of 2.

    Args:
        packets: The bound, in packets.
        max_bytes: The bound, in bytes.
    """

    __slots__ = ("max_bytes",)

    def __init__(self, packets: int, *, max_bytes: int) -> None:
        super().__init__(packets)
        self.max_bytes = whole("max_bytes is a whole number", max_bytes)
        if self.max_bytes < 1:
            raise ValueError(f"a queue holds at least 1 byte, not {max_bytes}")

    def key(self, packet: bytes) -> bytes:
        """Return addresses and ports as they lie in the packet; fragments have the addresses alone."""
        # Half a microsecond less than flow_key(); where it takes options for ports, they are still those of one flow.
        if len(packet) < 20:
            return b""
        if packet[0] >> 4 == 6:
            return packet[8:44]
        return packet[12:20] if packet[6] & 0x3F or packet[7] else packet[12:24]

    def put(self, batch: Sequence[bytes], sender: Hashable) -> None:
        """Queue *batch*, as one of those from *sender*; None: each flow for itself."""
        if sender is None:
            self.enqueue_many(batch, 0.0)
        else:
            self._offered += len(batch)
            self._append(sender, batch)
            self._shorten()

    def enqueue_many(self, batch: Sequence[bytes], now: float) -> Sequence[bytes]:
        flows: dict[Hashable, list[bytes]] = {}
        for packet, key in self._keyed(batch):
            if key in flows:
                flows[key].append(packet)
            else:
                flows[key] = [packet]
        self._offered += len(batch)
        for key, packets in flows.items():
            self._append(key, packets)
        self._shorten()
        return batch

    def fitting(self, batch: Sequence[bytes]) -> int:
        free = self.max_bytes - self.nbytes
        for index in range(super().fitting(batch)):
            free -= len(batch[index])
            if free < 0:
                return index
        return super().fitting(batch)

    # --- inside -----------------------------------------------------------------------------------

    def _append(self, key: Hashable, packets: Sequence[bytes]) -> None:
        if not packets:
            return
        flow, size = self._flow(key), nbytes(packets)
        flow.packets.extend(packets)
        flow.nbytes += size
        self.nbytes += size
        self._count += len(packets)
        self._fattest.grew(flow)

    def _shorten(self) -> None:
        """Bring the queue within its bounds."""
        while (excess := self._count - self.max_packets) > 0 or self.nbytes > self.max_bytes:
            flow = self._fattest.find(self._flows.values())
            packets, least = flow.packets, flow.nbytes // 2
            dropped = 0
            free = self.nbytes - self.max_bytes
            size = 0
            while (dropped < excess or size < free) and flow.nbytes - size > least:
                size += len(packets.popleft())
                dropped += 1
            flow.nbytes -= size
            self.nbytes -= size
            self._count -= dropped
            self._drop("overlimit", dropped)
            if not packets:
                del self._flows[flow.key]
