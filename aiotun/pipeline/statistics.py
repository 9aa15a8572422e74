"""What a path and its stages counted. Conservation: ``entered + created == left + sum(dropped.values())``."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["PathStatistics", "StageStatistics"]


@attrs.frozen(kw_only=True)
class StageStatistics:
    """What passed one stage."""

    name: str
    entered: int
    """Packets that came over the edge in front of the stage."""
    created: int
    """Packets there were more of behind the stage than in front of it."""
    left: int
    """Packets that went over the edge behind the stage."""
    dropped: Mapping[str, int]
    """Packets that did not, by reason."""


@attrs.frozen(kw_only=True)
class PathStatistics:
    """What passed a path; the sums count stages that were taken out as well."""

    name: str
    entered: int
    created: int
    left: int
    dropped: Mapping[str, int]
    stages: tuple[StageStatistics, ...]
    """The stages there are now, in order; one that was put in later counts from then on."""
