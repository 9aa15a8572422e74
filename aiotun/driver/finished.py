"""Finished packets out of a source of super-packets, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

from ..offload import Segmenter
from ..pipeline.finishing import plain

__all__ = ["Finished"]


class Finished:
    """
    Reads a source that may give super-packets, whole or as the packets they stand for, in order.

    What was read and not handed out yet is kept as it came: at most one batch, each super-packet as long as itself.

    Args:
        source: Returns up to so many packets, ``[]`` if there are none.
        ethernet: Whether they are frames.
        drop: Called with reason and number for super-packets that cannot be cut.
    """

    __slots__ = ("_drop", "_ethernet", "_segmenter", "_source")

    def __init__(
        self, source: Callable[[int], list[bytes]], drop: Callable[[str, int], None], *, ethernet: bool
    ) -> None:
        self._source = source
        self._drop = drop
        self._ethernet = ethernet
        self._segmenter = Segmenter(ethernet=ethernet)

    def __len__(self) -> int:
        """How many packets were read and not handed out, or not in full."""
        return len(self._segmenter)

    def read_whole(self, limit: int) -> list[bytes]:
        """Return up to *limit* packets, super-packets in one piece; first, finished, what read_many() read ahead."""
        return self._take(limit) or self._source(limit)

    def read_many(self, limit: int) -> list[bytes]:
        """Return up to *limit* finished packets; ``[]`` only if there are none."""
        while not (batch := self._take(limit)):
            batch = self._source(limit)
            if not batch or plain(batch):
                break
            self._segmenter.put(batch)
        return batch

    def drop(self, reason: str) -> None:
        """Drop what is kept."""
        self._drop(reason, len(self._segmenter))
        self._segmenter = Segmenter(ethernet=self._ethernet)

    def _take(self, limit: int) -> list[bytes]:
        segmenter = self._segmenter
        if not segmenter:
            return []
        batch = segmenter.take(limit)
        if segmenter.dropped:
            for reason, count in segmenter.dropped.items():
                self._drop(reason, count)
            segmenter.dropped.clear()
        return batch
