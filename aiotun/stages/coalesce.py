"""Merging packets on the way, for an output that takes super-packets."""

from __future__ import annotations

from ..pipeline import Stage
from ..pipeline.finishing import coalescing

__all__ = ["coalesce"]


def coalesce(*, ethernet: bool = False, tcp: bool = True, udp: bool = True) -> Stage:
    """
    Return a stage that makes one super-packet of each run of packets that may be one; see ``offload.coalesce()``.

    Nothing is held from one batch to the next. A path counts what went into another packet as dropped, under
    ``merged``.

    Args:
        ethernet: Whether the packets are a tap's frames.
        tcp: Whether to merge TCP.
        udp: Whether to merge UDP: only if the output takes that.
    """
    return coalescing(ethernet, tcp=tcp, udp=udp)
