"""A lab's packets as a pcapng file."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

from ..capture import CaptureInterface, LinkType, PcapngWriter
from .lab_record import Crossing

__all__ = ["write_capture"]


def write_capture(path: str | PathLike[str], crossings: Iterable[Crossing]) -> None:
    """Write packets to a file: an interface for each pair of nodes, ``alice to bob``, and their fate as a comment."""
    with PcapngWriter(path, comment="a lab of aiotun; times are virtual, since 1970") as writer:
        interfaces: dict[tuple[str, str, bool], CaptureInterface] = {}
        for crossing in crossings:
            key = crossing.source, crossing.target, crossing.ethernet
            if key not in interfaces:
                linktype = LinkType.ETHERNET if crossing.ethernet else LinkType.RAW
                interfaces[key] = writer.interface(f"{crossing.source} to {crossing.target}", linktype)
            fate = crossing.dropped or crossing.changed
            time_ns = round(crossing.time * 1e9)
            interfaces[key].write(crossing.packet, time_ns, direction="out", comments=fate or ())
