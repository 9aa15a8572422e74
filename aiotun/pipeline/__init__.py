"""Paths: ordered, named stages over batches of packets, changed live, counted edge by edge."""

from .path import Path
from .stage import Batch, Stage, per_packet, stage
from .statistics import PathStatistics, StageStatistics

__all__ = ["Batch", "Path", "PathStatistics", "Stage", "StageStatistics", "per_packet", "stage"]
