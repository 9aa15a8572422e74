"""Paths: ordered, named stages over batches of packets, changed live, counted edge by edge."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .outcome import Outcome
from .path import Path
from .stage import Batch, Stage, per_packet, stage
from .statistics import PathStatistics, StageStatistics

if TYPE_CHECKING:
    from .pump_statistics import DirectionStatistics, PumpStatistics
    from .pumping import Pump, pump
    from .router import Router
    from .router_peer import Peer
    from .router_statistics import LegStatistics, RouterStatistics

__all__ = [
    "Batch",
    "DirectionStatistics",
    "LegStatistics",
    "Outcome",
    "Path",
    "PathStatistics",
    "Peer",
    "Pump",
    "PumpStatistics",
    "Router",
    "RouterStatistics",
    "Stage",
    "StageStatistics",
    "per_packet",
    "pump",
    "stage",
]

LATE = {
    "DirectionStatistics": ".pump_statistics",
    "LegStatistics": ".router_statistics",
    "Peer": ".router_peer",
    "Pump": ".pumping",
    "PumpStatistics": ".pump_statistics",
    "Router": ".router",
    "RouterStatistics": ".router_statistics",
    "pump": ".pumping",
}


def __getattr__(name: str) -> object:
    """Load what not every program needs when it is first named: the router needs the queues and the packets."""
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(LATE[name], __name__), name)
