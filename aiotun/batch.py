"""What a batch is as a whole: how much is counted, and whether all of it fits."""

from __future__ import annotations

from collections.abc import Sequence

from .speedups import twin

__all__ = ["bounds", "longest", "nbytes"]

# In C over a batch of 64: 0.09 us each, where these take 0.8 us (nbytes), 1.4 us (longest) and 3 us (bounds).


@twin
def nbytes(batch: Sequence[bytes], /) -> int:
    """Return the bytes of a batch together."""
    return sum(map(len, batch))


@twin
def longest(batch: Sequence[bytes], /) -> int:
    """Return the bytes of the longest packet of a batch, 0 if it is empty."""
    return max(map(len, batch), default=0)


@twin
def bounds(batch: object, /) -> tuple[int, int] | None:
    """Return the bytes of the shortest and of the longest packet; None for all but a list or tuple of bytes."""
    if type(batch) not in (list, tuple) or set(map(type, batch)) != {bytes}:  # type: ignore[call-overload]
        return None
    sizes = list(map(len, batch))  # type: ignore[call-overload]
    return min(sizes), max(sizes)
