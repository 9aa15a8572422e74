"""Segmenting batch after batch in bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from ..errors import PacketError
from ..packet import SuperPacket
from .segment import segment

__all__ = ["Segmenter"]


class Segmenter:
    """
    Takes batches of packets and super-packets, gives finished packets, a few at a time, in order.

    What was not taken yet is kept as it came: a super-packet of 65,000 segments of one byte costs its 65 KB, not
    the 6 MB of its segments. Nothing is lost but super-packets that cannot be cut, and those are counted.

    Args:
        ethernet: Whether the packets are a tap's frames.
    """

    __slots__ = ("_ethernet", "_first", "_waiting", "dropped")

    dropped: Counter[str]
    """How many super-packets could not be cut, by the reason of the PacketError."""

    def __init__(self, *, ethernet: bool = False) -> None:
        self._ethernet = ethernet
        self._waiting: deque[bytes] = deque()
        self._first = 0  # how many segments of the super-packet in front were taken
        self.dropped = Counter()

    def __len__(self) -> int:
        """How many of the packets put in are not taken, or not in full."""
        return len(self._waiting)

    def put(self, batch: Iterable[bytes]) -> None:
        """Queue *batch* behind what is left of those before."""
        self._waiting.extend(batch)

    def take(self, limit: int = 64) -> list[bytes]:
        """Return up to *limit* finished packets, fewer only if there are no more; plain ones as the same objects."""
        waiting = self._waiting
        taken: list[bytes] = []
        while waiting and (room := limit - len(taken)) > 0:
            packet = waiting[0]
            if not isinstance(packet, SuperPacket):
                taken.append(packet)
            else:
                try:
                    segments = segment(packet, self._ethernet, self._first, room)
                except PacketError as error:
                    self.dropped[error.reason] += 1
                else:
                    taken += segments
                    if len(segments) == room and self._goes_on(packet, self._first + room):
                        self._first += room
                        break
            waiting.popleft()
            self._first = 0
        return taken

    def _goes_on(self, packet: SuperPacket, first: int) -> bool:
        """Whether there is a segment of that number: what is taken to the end is not to be waited for."""
        return packet.gso_type != 0 and len(segment(packet, self._ethernet, first, 1)) > 0
