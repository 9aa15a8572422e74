"""The last edge of a way: packets into an endpoint, each sent once or dropped under a name."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from .. import speedups
from ..endpoint import Endpoint, turn
from ..errors import DeviceClosed, DeviceError, DeviceGone, PacketError, WouldBlock

if TYPE_CHECKING:
    from ..offload import Segmenter

__all__ = ["REFUSALS", "Edge", "ending"]

REFUSALS = DeviceError, PacketError
"""What says that a packet is refused, not that something is broken; its ``reason`` is one word of ours."""

_ENDINGS = ((DeviceGone, "gone"), (DeviceClosed, "closed"), (asyncio.CancelledError, "cancelled"))

_PLAIN = {bytes}


def ending(error: BaseException) -> str:
    """Return the word for packets that are dropped because *error* ended their way."""
    return next((reason for kind, reason in _ENDINGS if isinstance(error, kind)), "failed")


class Edge:
    """
    Sends into an endpoint what it has room for, and keeps the rest in order.

    Conservation: offered + created == sent + merged + waiting + sum(dropped). A super-packet is one packet.
    The endpoint's nowait form sends: where a cancel strikes, what is not sent yet is all here.

    Super-packets are cut for a sink that does not take them.

    Args:
        sink: Where the packets go; not owned.
        ethernet: Whether they are frames.
        coalesce: Whether to make super-packets of plain ones for a sink that does; None if that is done in C.
    """

    __slots__ = (
        "_coalesce",
        "_ethernet",
        "_rest",
        "_segmenter",
        "_plain",
        "_sink",
        "created",
        "dropped",
        "merged",
        "sent",
    )

    created: int
    """Packets that came of super-packets, beyond one each."""
    merged: int
    """Packets that went into super-packets, beyond one each."""
    sent: int
    """Packets that the sink took."""
    dropped: Counter[str]
    """Packets that were not sent and never will be, by reason."""

    def __init__(self, sink: Endpoint, *, ethernet: bool = False, coalesce: bool | None = None) -> None:
        self._sink = sink
        self._ethernet = ethernet
        self._plain = not sink.superpackets
        self._coalesce = _coalescer(sink, ethernet, coalesce)
        self._rest: Sequence[bytes] = ()
        self._segmenter: Segmenter | None = None  # made for the first super-packet: it needs the room of packets
        self.created = self.merged = self.sent = 0
        self.dropped = Counter()

    @property
    def waiting(self) -> int:
        """Packets that were offered and neither sent nor dropped."""
        return len(self._rest) + (0 if self._segmenter is None else len(self._segmenter))

    def offer(self, batch: Sequence[bytes]) -> None:
        """Take *batch* to be sent, behind what waits."""
        if self._coalesce is not None and len(batch) > 1:
            count = len(batch)
            batch = self._coalesce(batch)
            self.merged += count - len(batch)
        elif self._plain and (self._segmenter or set(map(type, batch)) - _PLAIN):
            batch = self._cut(batch)
        self._rest = [*self._rest, *batch] if self._rest else batch

    def push(self) -> bool:
        """Send what there is room for now, one batch at most; return False if the sink wants to be waited for."""
        rest = self._rest
        most = self._sink.burst
        batch = rest if len(rest) <= most else rest[:most]
        try:
            sent = self._sink.send_many_nowait(batch)
        except WouldBlock:
            return False
        except REFUSALS as error:
            sent = getattr(error, "sent", 0)  # none, where a packet was unfit
            self._took(sent)
            if isinstance(error, DeviceGone):
                raise
            return self._push_singly(batch[sent:])
        self._took(sent)
        return sent == len(batch)

    async def drain(self) -> None:
        """Send all that waits, waiting for room; what a cancel leaves stays waiting."""
        while self._rest:
            if not self.push():
                await self._sink.writable()
            elif self._rest:
                await turn()

    def drop(self, reason: str) -> None:
        """Drop what waits."""
        self._count(reason, self.waiting)
        self._rest = ()
        self._segmenter = None

    # --- inside -----------------------------------------------------------------------------------

    def _push_singly(self, batch: Sequence[bytes]) -> bool:
        """Send packets one by one, so that only those are dropped which are refused."""
        for packet in batch:
            try:
                self._sink.send_nowait(packet)
            except WouldBlock:
                return False
            except DeviceGone:
                raise
            except REFUSALS as error:
                self._took(1, sent=0)
                self._count(error.reason, 1)
            else:
                self._took(1)
        return True

    def _took(self, count: int, sent: int | None = None) -> None:
        self.sent += count if sent is None else sent
        rest = self._rest
        self._rest = rest[count:] if count < len(rest) else self._segments()

    def _count(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] += count

    def _cut(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        """Put *batch* into the segmenter, which keeps a super-packet as it is; return packets if none wait."""
        if self._segmenter is None:
            from ..offload import Segmenter

            self._segmenter = Segmenter(ethernet=self._ethernet)
        self._segmenter.put(batch)
        return () if self._rest else self._segments()

    def _segments(self) -> Sequence[bytes]:
        """Return the next packets, finished."""
        segmenter = self._segmenter
        if segmenter is None or not segmenter:
            return ()
        before = len(segmenter)
        batch = segmenter.take(self._sink.burst)
        lost = segmenter.dropped.total()
        if lost:
            self.dropped.update(segmenter.dropped)
            segmenter.dropped.clear()
        self.created += len(batch) + lost - (before - len(segmenter))
        return batch


def _coalescer(
    sink: Endpoint, ethernet: bool, wanted: bool | None
) -> Callable[[Sequence[bytes]], Sequence[bytes]] | None:
    """Return what makes super-packets for the sink, if it takes them and that is wanted."""
    if not sink.superpackets or not (speedups.active if wanted is None else wanted):
        return None
    from ..offload import coalesce

    tcp, udp = "tcp_gro" in sink.offload, "udp_gro" in sink.offload
    return partial(coalesce, ethernet=ethernet, tcp=tcp, udp=udp) if tcp or udp else None
