"""The picture of a router: its legs, what waits for them, and what passed each edge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from .pump_graph import Picture
from .router_statistics import LegStatistics, RouterStatistics
from .statistics import StageStatistics

__all__ = ["draw"]


def draw(name: str, seen: RouterStatistics) -> Picture:
    """Return the picture of what was counted."""
    picture = Picture(name)
    picture.node("router", name, "stage")
    for index, leg in enumerate((seen.tun, *seen.peers)):
        _draw_leg(picture, f"leg{index}", leg)
    picture.drops("router", seen.transit.dropped, name="transit")
    return picture


def _draw_leg(picture: Picture, name: str, leg: LegStatistics) -> None:
    """Add an endpoint, the way from it to the router, and the way back through its queue."""
    end = picture.node(name, leg.name, "end")
    last = picture.way(f"{name}_from", end, leg.arriving)
    picture.edge(last, "router", leg.arriving[-1].left if leg.arriving else leg.received)
    picture.drops("router", _beyond(leg.refused, leg.arriving), name=f"{name}_refused")
    queue = picture.node(f"{name}_queue", f"{leg.waiting} waiting", "queue")
    picture.edge("router", queue, leg.offered)
    last = picture.way(f"{name}_to", queue, leg.leaving)
    picture.edge(last, end, leg.sent)
    picture.drops(last, _beyond(leg.dropped, leg.leaving), name=f"{name}_lost")


def _beyond(dropped: Mapping[str, int], stages: Iterable[StageStatistics]) -> Mapping[str, int]:
    """Return the drops that are none of the stages'."""
    rest = Counter(dropped)
    for stage in stages:
        rest.subtract(stage.dropped)
    return +rest
