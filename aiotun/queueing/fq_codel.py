"""FQ-CoDel: fair queueing between hashed flows, each of them under the control of CoDel."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from typing import cast

from .classified import Classful
from .controlled import ControlledQueue, Law
from .discipline import Queue
from .fattest import Fattest
from .flows import flow_key, hashed, shares

__all__ = ["FQCoDel"]

_DROP_BATCH = 64  # at most so many at once from the fattest flow, RFC 8290 section 4.1.3


class _Flow(ControlledQueue):
    """A queue with its credit of bytes."""

    __slots__ = ("deficit",)

    deficit: int


class FQCoDel(Classful, Queue):
    """
    Serves flows in turns of a *quantum*, new ones first, and keeps the delay of each short.

    A flow that sends little passes those which fill their queues. A drop for delay is counted as ``codel``.
    At *packets*, the fattest flow loses half its bytes from the front, at most 64 packets, counted
    as ``overlimit``, before the new packet is queued; what is offered is always accepted.

    Args:
        packets: The bound, in packets, of all flows together.
        flows: How many queues flows are hashed to.
        quantum: Bytes of each flow in a turn.
        target, interval, mtu, ecn: As for CoDel.
        seed: What the hash depends on, for runs that must repeat; 0 to 2**64 - 1; a secret number by default.

    RFC 8290.
    """

    __slots__ = ("_count", "_fattest", "_flows", "_law", "_new", "_old", "_seed", "max_flows", "nbytes", "quantum")

    nbytes: int

    def __init__(
        self,
        packets: int = 10240,
        *,
        flows: int = 1024,
        quantum: int = 1514,
        target: float = 0.005,
        interval: float = 0.1,
        mtu: int = 1514,
        ecn: bool = False,
        seed: int | None = None,
    ) -> None:
        self.max_flows, self.quantum = shares(flows, quantum)
        super().__init__(packets)
        self.nbytes = 0
        self._count = 0
        self._law = Law(target, interval, mtu, ecn)
        self._seed = secrets.token_bytes(8) if seed is None else seed.to_bytes(8, "big")
        self._flows: dict[int, _Flow] = {}
        """Every queue that was ever used: what CoDel knows about it outlives its packets."""
        self._new: OrderedDict[int, _Flow] = OrderedDict()
        self._old: OrderedDict[int, _Flow] = OrderedDict()
        self._fattest: Fattest[_Flow] = Fattest()

    def __len__(self) -> int:
        return self._count

    def key(self, packet: bytes) -> int:
        """Return the queue of a layer-3 packet, as a number."""
        return hashed(flow_key(packet), self._seed) % self.max_flows

    def enqueue_many(self, batch: Sequence[bytes], now: float) -> Sequence[bytes]:
        keyed = cast("list[tuple[bytes, int]]", self._keyed(batch))
        self._offered += len(batch)
        for packet, key in keyed:
            if self._count >= self.max_packets:
                self._make_room()
            flow = self._active(key)
            flow.push((packet,), now)
            self._fattest.grew(flow)
            self._count += 1
            self.nbytes += len(packet)
        return batch

    def dequeue_many(self, limit: int, now: float) -> list[bytes]:
        batch: list[bytes] = []
        while self._count and len(batch) < limit:
            flow = self._turn(now)
            packet = flow.drop_head()
            flow.deficit -= len(packet)
            self._count -= 1
            self.nbytes -= len(packet)
            batch.append(packet)
        self._taken += len(batch)
        if not self._count:  # nobody is left who could be starved: each flow starts anew
            self._new.clear()
            self._old.clear()
        return batch

    def head(self, now: float) -> bytes | None:
        return self._turn(now).packets[0] if self._count else None

    def _empty(self) -> list[bytes]:
        packets = [packet for flow in (*self._new.values(), *self._old.values()) for packet in flow.clear()]
        self._new.clear()
        self._old.clear()
        self._fattest.clear()
        self._count = self.nbytes = 0
        return packets

    def _marked(self) -> int:
        return self._law.marked

    def _active(self, key: int) -> _Flow:
        """Return a queue; one that had nothing to do joins the new ones, with a quantum."""
        if key not in self._flows:
            self._flows[key] = _Flow(self._law)
        flow = self._flows[key]
        if key not in self._new and key not in self._old:
            flow.deficit = self.quantum
            self._new[key] = flow
        return flow

    def _turn(self, now: float) -> _Flow:
        """Return the flow whose turn it is, its head free to leave (RFC 8290 section 4.2). There must be a packet."""
        while True:
            flows = self._new or self._old
            key, flow = next(iter(flows.items()))
            if flow.deficit <= 0:
                flow.deficit += self.quantum
                self._to_old(key, flows)
            elif flow.packets:
                self._settle(flow, now)
                return flow
            elif flows is self._new:
                # Through the old ones once, so that a flow that comes and goes does not starve them.
                self._to_old(key, flows)
            else:
                del flows[key]

    def _to_old(self, key: int, flows: OrderedDict[int, _Flow]) -> None:
        """Put a flow at the end of the old ones."""
        self._old[key] = flows.pop(key)

    def _settle(self, flow: _Flow, now: float) -> None:
        count, nbytes = len(flow.packets), flow.nbytes
        flow.settle(now, self.offset)
        self._forget("codel", count - len(flow.packets), nbytes - flow.nbytes)

    def _make_room(self) -> None:
        flow = self._fattest.find(chain(self._new.values(), self._old.values()))
        count, nbytes = len(flow.packets), flow.nbytes
        for _ in range(_DROP_BATCH):
            flow.drop_head()
            if flow.nbytes * 2 <= nbytes:
                break
        self._forget("overlimit", count - len(flow.packets), nbytes - flow.nbytes)

    def _forget(self, reason: str, count: int, nbytes: int) -> None:
        """Count packets that a flow dropped."""
        self._count -= count
        self.nbytes -= nbytes
        self._drop(reason, count)
