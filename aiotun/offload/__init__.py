"""
One super-packet to many packets and many to one: what hardware calls TSO, USO and GRO, on bytes.

The kernel hands a reader that asked for it up to 64 KiB in one piece, a ``SuperPacket``, and takes one from a writer.
That is ten times quicker than packet after packet, as long as it stays in one piece; ``segment()`` and ``complete()``
finish it for those that want plain packets, and ``coalesce()`` makes one::

    for packet in offload.segment(superpacket):
        ...                                          # finished: lengths, checksums

    offload.coalesce(batch)                          # fewer, some of them super-packets

    segmenter = offload.Segmenter()                  # the same for batches, in bounded memory
    segmenter.put(batch)
    while chunk := segmenter.take(64):
        ...

``segment(coalesce(batch))`` is the batch again: every byte, and the order within each flow. No function here keeps
anything but ``Segmenter``, which keeps what was not taken yet.
"""

from __future__ import annotations

from .coalesce import MAX_SEGMENTS, MAX_SIZE, coalesce
from .complete import complete
from .segment import ALL, segment
from .segmenter import Segmenter

__all__ = [
    # .segment
    "ALL",
    "segment",
    # .segmenter
    "Segmenter",
    # .coalesce
    "MAX_SEGMENTS",
    "MAX_SIZE",
    "coalesce",
    # .complete
    "complete",
]
