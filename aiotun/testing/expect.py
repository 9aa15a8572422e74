"""What the checks are written with. Explicit, so they check under ``python -O`` too."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ..endpoint import Endpoint, turn
from ..errors import WouldBlock
from .rig import Rig

__all__ = ["expect", "expect_error", "drain", "numbers", "parked", "turns"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


def expect(condition: object, otherwise: str) -> None:
    """Fail with *otherwise* unless *condition* holds."""
    if not condition:
        raise AssertionError(otherwise)


@contextmanager
def expect_error(kind: type[E], *parts: str) -> Iterator[list[E]]:
    """Fail unless the block raises *kind* with every one of *parts* in its text; yields where the error goes."""
    caught: list[E] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
        for part in parts:
            expect(part in str(error), f"{part!r} is not in {str(error)!r}")
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


async def turns(count: int = 4) -> None:
    """Give the loop *count* turns."""
    for _ in range(count):
        await turn()


async def parked(operation: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start *operation* in a task and let it go as far as it can; fail if it does not wait."""
    task = asyncio.create_task(operation)
    await turns()
    if task.done():
        result = await task
        raise AssertionError(f"it did not wait, it returned {result!r}")
    return task


def drain(endpoint: Endpoint) -> list[bytes]:
    """Return everything that can be received now."""
    packets: list[bytes] = []
    try:
        while True:
            packets += endpoint.recv_many_nowait()
    except WouldBlock:
        return packets


def numbers(rig: Rig, packets: list[bytes]) -> list[int]:
    """Return the packets' numbers."""
    return [rig.number(packet) for packet in packets]
