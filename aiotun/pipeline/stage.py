"""A stage: a callable from batch to batch, with what a path wants to know about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["Batch", "Stage", "per_packet", "stage"]

Batch = Sequence[bytes]
Stage = Callable[[Batch], Batch]
"""Takes a batch and returns what goes on, a list: the same packets, fewer, others. Not async: it never waits."""

S = TypeVar("S", bound=Callable[..., object])


def stage(*, reason: str | None = None, counted: bool = False, delivers: bool = False) -> Callable[[S], S]:
    """
    Mark a stage with what its path should know of it.

    Args:
        reason: What its drops are counted under, one word, such as ``queue_full``; by default the stage's name.
        counted: Whether the stage has told whoever owns the path of its drops by itself.
        delivers: Whether the packets have arrived with this stage, in a queue or a stack: what a later stage
            leaves out of the batch is not lost, and the owner of the path is not told of it.
    """

    def mark(function: S) -> S:
        if reason is not None:
            function.reason = reason  # type: ignore[attr-defined]
        function.counted = counted  # type: ignore[attr-defined]
        function.delivers = delivers  # type: ignore[attr-defined]
        return function

    return mark


def per_packet(function: Callable[[bytes], bytes | None]) -> Stage:
    """
    Lift a function of one packet to a stage; a packet it returns None for is dropped.

    The stage has the function's name. A function of whole batches is faster: this one is called for each packet.
    """

    def lifted(batch: Batch) -> Batch:
        return [packet for packet in map(function, batch) if packet is not None]

    lifted.__name__ = stage_name(function)
    return lifted


def stage_name(function: Callable[..., object]) -> str:
    """Return what a stage is called unless it is given a name."""
    name = getattr(function, "__name__", type(function).__name__)
    return "stage" if name == "<lambda>" else str(name)
