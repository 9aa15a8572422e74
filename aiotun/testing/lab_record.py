"""What happened in a lab: the packets that crossed its links, and notes of what else did."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

__all__ = ["Crossing", "Note", "Record"]


@attrs.frozen
class Crossing:
    """A packet that was sent over a link."""

    time: float
    """When it was sent, in virtual seconds."""
    source: str
    """The name of the node that sent it."""
    target: str
    """The name of the node at the other end."""
    packet: bytes = attrs.field(repr=False)
    """Its bytes as they were sent; a frame where a switch is at one end."""
    dropped: str = ""
    """Why it does not arrive, as one word: ``lost``, ``queue_full``."""
    changed: str = ""
    """What the link did to it: ``corrupted``, ``duplicated``, or both."""
    ethernet: bool = False
    """Whether it is a frame."""


@attrs.frozen
class Note:
    """Something else that happened."""

    time: float
    """When, in virtual seconds."""
    nodes: tuple[str, ...]
    """Where: the name of a node, or of the two at the ends of a link."""
    text: str
    """What."""


class Record:
    """The latest of what happened, in order; the oldest makes room."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self.entries: deque[Crossing | Note] = deque(maxlen=limit)
        self.clock = clock
        """Returns the virtual time, in seconds."""

    def note(self, text: str, *nodes: str) -> None:
        """Note what happened at these nodes."""
        self.entries.append(Note(self.clock(), nodes, text))

    def dropped(self, reason: str, count: int, node: str) -> None:
        """Note that a node dropped packets."""
        self.note(f"dropped {count}: {reason}" if count > 1 else f"dropped: {reason}", node)

    @property
    def crossings(self) -> tuple[Crossing, ...]:
        """The packets among them."""
        return tuple(entry for entry in self.entries if isinstance(entry, Crossing))
