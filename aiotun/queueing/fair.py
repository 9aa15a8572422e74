"""Fair queueing: deficit round robin between flows."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence

from .classified import Classful
from .discipline import Queue
from .fattest import Fattest
from .flows import flow_key, shares

__all__ = ["FairQueue"]

_SHARED = "shared"  # the flow of those for whom there is none left


class _Flow:
    """The packets of one flow, and what it may still send in this round."""

    __slots__ = ("deficit", "key", "nbytes", "packets")

    def __init__(self, key: Hashable, deficit: int) -> None:
        self.key = key
        self.deficit = deficit
        self.nbytes = 0
        self.packets: deque[bytes] = deque()


class FairQueue(Classful, Queue):
    """
    Gives every flow the same number of bytes, a *quantum* a round.

    A full queue makes room by dropping the oldest packet of the flow with most bytes, counted as
    ``overlimit``; what is offered is always accepted. Once there are *flows* of them, new flows share one
    more queue until that is empty.

    Args:
        packets: The bound, in packets.
        flows: How many flows have a queue to themselves.
        quantum: Bytes of each flow in a round; a packet of an interface's mtu and link header is a good one.

    M. Shreedhar and G. Varghese, "Efficient fair queueing using deficit round robin", 1995.
    """

    __slots__ = ("_count", "_fattest", "_flows", "max_flows", "nbytes", "quantum")

    nbytes: int

    def __init__(self, packets: int = 1000, *, flows: int = 1024, quantum: int = 1514) -> None:
        self.max_flows, self.quantum = shares(flows, quantum)
        super().__init__(packets)
        self.nbytes = 0
        self._count = 0
        self._flows: OrderedDict[Hashable, _Flow] = OrderedDict()
        """The flows that have packets, in the order of their turns."""
        self._fattest: Fattest[_Flow] = Fattest()

    def __len__(self) -> int:
        return self._count

    def key(self, packet: bytes) -> Hashable:
        """Return the flow of a layer-3 packet."""
        return flow_key(packet)

    def enqueue_many(self, batch: Sequence[bytes], now: float) -> Sequence[bytes]:
        keyed = self._keyed(batch)
        self._offered += len(batch)
        for packet, key in keyed:
            if self._count >= self.max_packets:
                self._make_room()
            flow = self._flow(key)
            flow.packets.append(packet)
            flow.nbytes += len(packet)
            self.nbytes += len(packet)
            self._count += 1
            self._fattest.grew(flow)
        return batch

    def dequeue_many(self, limit: int, now: float) -> list[bytes]:
        batch: list[bytes] = []
        while len(batch) < limit and self._flows:
            flow = self._turn()
            flow.deficit -= len(flow.packets[0])
            batch.append(self._remove(flow))
        self._taken += len(batch)
        return batch

    def head(self, now: float) -> bytes | None:
        return self._turn().packets[0] if self._flows else None

    def _empty(self) -> list[bytes]:
        packets = [packet for flow in self._flows.values() for packet in flow.packets]
        self._flows.clear()
        self._fattest.clear()
        self._count = self.nbytes = 0
        return packets

    def _flow(self, key: Hashable) -> _Flow:
        """Return the queue of a flow. While flows share one, none gets its own: its packets would overtake."""
        flows = self._flows
        if key not in flows and (len(flows) >= self.max_flows or _SHARED in flows):
            key = _SHARED
        if key not in flows:
            flows[key] = _Flow(key, self.quantum)
        return flows[key]

    def _turn(self) -> _Flow:
        """Return the flow whose turn it is; one that used up its turn gets the next at the end of the line."""
        while True:
            key, flow = next(iter(self._flows.items()))
            if len(flow.packets[0]) <= flow.deficit:
                return flow
            flow.deficit += self.quantum
            self._flows.move_to_end(key)

    def _remove(self, flow: _Flow) -> bytes:
        """Remove the oldest packet of a flow, and the flow with its last."""
        packet = flow.packets.popleft()
        flow.nbytes -= len(packet)
        self.nbytes -= len(packet)
        self._count -= 1
        if not flow.packets:
            del self._flows[flow.key]
        return packet

    def _make_room(self) -> None:
        self._remove(self._fattest.find(self._flows.values()))
        self._drop("overlimit", 1)
