"""The edges of super-packets: cut, and summed, in front of what does not take them; merged behind what makes many."""

from __future__ import annotations

from collections.abc import Callable, Container

from .. import speedups
from ..batch import bounds
from ..errors import PacketError
from ..offload import MAX_SEGMENTS, MAX_SIZE, coalesce, segment
from ..packet import GSO_ECN, GSOType, SuperPacket
from ..queueing import Classified
from .outcome import Outcome
from .stage import Batch, Stage, stage

__all__ = ["coalescing", "finish", "plain", "segmenting"]


def _plain(batch: Batch) -> bool:
    return [*map(type, batch)].count(bytes) == len(batch)


# In C bounds() is a tenth of that, in Python four times as much.
plain: Callable[[Batch], object] = bounds if speedups.active else _plain
"""Return something true if every packet of a list is ``bytes`` and no subclass: there is no super-packet among them."""


def finish(batch: Batch, ethernet: bool = False, whole: Container[int] = ()) -> Batch:
    """
    Return *batch* with its super-packets cut into the packets they stand for, in their places, checksums finished.

    One that cannot be cut is dropped, under the reason of its PacketError. The segments of a packet that is marked
    with its class have that mark. A batch without super-packets is returned as it is, any other as an Outcome.

    Args:
        batch: Packets, or frames.
        ethernet: Whether they are frames.
        whole: Which to leave as they are, by ``GSOType``: with NONE, those that lack their checksum alone.
    """
    if not _has_superpackets(batch):
        return batch
    finished = Outcome()
    for packet in batch:
        mark = packet if isinstance(packet, Classified) else None
        found = packet if mark is None else mark.packet
        if not isinstance(found, SuperPacket) or _stays(found, whole):
            finished.append(packet)
            continue
        try:
            segments = segment(found, ethernet)
        except PacketError as error:
            finished.dropped[error.reason] += 1
        else:
            finished += segments if mark is None else [Classified(one, mark.key) for one in segments]
            finished.created += len(segments) - 1
    return finished


def _has_superpackets(batch: Batch) -> bool:
    kinds: set[type] = set(map(type, batch))
    if Classified in kinds:
        kinds.update(type(packet.packet) for packet in batch if isinstance(packet, Classified))
    return any(issubclass(kind, SuperPacket) for kind in kinds)


def _stays(packet: SuperPacket, whole: Container[int]) -> bool:
    kind = packet.gso_type & ~GSO_ECN
    return kind in whole and (kind != GSOType.NONE or packet.needs_csum)


def segmenting(ethernet: bool = False, whole: Container[int] = ()) -> Stage:
    """
    Return the stage ``segment``: finish() for each batch. Batches without super-packets pass as they are.

    A path puts one in by itself in front of a stage that does not take super-packets.

    Modelled on validate_xmit_skb() in Linux net/core/dev.c.
    """

    @stage(superpackets=True)
    def segment(batch: Batch) -> Batch:
        return batch if plain(batch) else finish(batch, ethernet, whole)

    return segment


def coalescing(
    ethernet: bool = False,
    *,
    tcp: bool = True,
    udp: bool = True,
    max_segments: int = MAX_SEGMENTS,
    max_size: int = MAX_SIZE,
) -> Stage:
    """
    Return the stage ``coalesce``: what follows each other in a batch becomes a super-packet, see offload.coalesce().

    For the way to an endpoint that takes super-packets. What was merged is counted as dropped, under ``merged``:
    it goes on inside another packet.
    """

    @stage(reason="merged", counted=True, superpackets=True)  # counted: to the path's owner nothing is lost
    def merge(batch: Batch) -> Batch:
        return coalesce(batch, ethernet, tcp, udp, max_segments, max_size)

    merge.__name__ = "coalesce"
    return merge
