"""A stage: a callable from batch to batch, with what a path wants to know about it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

__all__ = ["Batch", "Stage", "per_packet", "stage", "unwrapped"]

Batch = Sequence[bytes]
Stage = Callable[[Batch], Batch]
"""
Takes a batch and returns what goes on, a list: the same packets, fewer, others. Not async: it never waits.

An Outcome, which is a list, says more of what does not go on.
"""

S = TypeVar("S", bound=Callable[..., object])


def stage(
    *,
    reason: str | None = None,
    counted: bool = False,
    delivers: bool = False,
    superpackets: bool = False,
    when: str | None = None,
) -> Callable[[S], S]:
    """
    Mark a stage with what its path should know of it.

    Args:
        reason: What its drops are counted under, one word, such as ``queue_full``; by default the stage's name.
        counted: Whether the stage has told whoever owns the path of its drops by itself.
        delivers: Whether the packets have arrived with this stage, in a queue or a stack: what a later stage
            leaves out of the batch is not lost, and the owner of the path is not told of it.
        superpackets: Whether it takes super-packets in one piece. A stage without the mark never sees one: the path
            cuts them in front of it. One that makes super-packets has the mark as well.
        when: An attribute of the object whose method the stage is, ``"tap.listeners"``. While it is false the stage
            would return each batch as it is; so a path does not call it, which saves 0.1 us a batch. A stage that is
            no method is always called.
    """

    def mark(function: S) -> S:
        if reason is not None:
            function.reason = reason  # type: ignore[attr-defined]
        function.counted = counted  # type: ignore[attr-defined]
        function.delivers = delivers  # type: ignore[attr-defined]
        function.superpackets = superpackets  # type: ignore[attr-defined]
        if when is not None:
            function.when = operator.attrgetter(when)  # type: ignore[attr-defined]
        return function

    return mark


def per_packet(function: Callable[[bytes], bytes | None], *, superpackets: bool = False) -> Stage:
    """
    Lift a function of one packet to a stage; a packet it returns None for is dropped.

    The stage has the function's name. A function of whole batches is faster: this one is called for each packet.

    Args:
        function: Takes a packet, returns a packet or None.
        superpackets: Whether it takes super-packets in one piece, and returns them as such.
    """

    @stage(superpackets=superpackets)
    def lifted(batch: Batch) -> Batch:
        return [packet for packet in map(function, batch) if packet is not None]

    lifted.__name__ = stage_name(function)
    return lifted


def stage_name(function: Callable[..., object]) -> str:
    """Return what a stage is called unless it is given a name."""
    name = getattr(function, "__name__", type(function).__name__)
    return "stage" if name == "<lambda>" else str(name)


def unwrapped(stage: Any) -> Any:
    """Return the stage itself, from under what looks at it."""
    while (inner := getattr(stage, "__wrapped__", None)) is not None:
        stage = inner
    return stage
