"""Cutting super-packets on the way, for an output that wants plain packets."""

from __future__ import annotations

from ..pipeline import Stage
from ..pipeline.finishing import segmenting

__all__ = ["segment"]


def segment(*, ethernet: bool = False) -> Stage:
    """
    Return a stage that puts finished packets in the place of each super-packet; see ``offload.segment()``.

    A path does this by itself in front of a stage that does not take super-packets. What cannot be cut is dropped,
    under the reason of its PacketError.

    Args:
        ethernet: Whether the packets are a tap's frames.
    """
    return segmenting(ethernet)
