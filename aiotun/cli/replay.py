"""The replay window of RFC 6479: which counters of a stream of datagrams were seen already."""

from __future__ import annotations

__all__ = ["LIMIT", "ReplayWindow"]

LIMIT = 2**64 - 2**13 - 1
"""Counters below this are accepted; WireGuard's REJECT_AFTER_MESSAGES."""


class ReplayWindow:
    """
    Accepts each counter once, and none that is *size* or more behind the highest accepted.

    A ring with one place for each counter of the window, as in RFC 6479, so that moving on clears
    places and shifts nothing. A place is a byte where the RFC has a bit: twice as fast in Python,
    where the usual step, to the next counter, writes one byte.
    """

    __slots__ = ("_mask", "_next", "_seen", "size")

    def __init__(self, size: int = 2048) -> None:
        if size < 1 or size & (size - 1):
            raise ValueError(f"a replay window spans a power of two of counters, not {size}")
        self.size = size
        """How many counters the window spans, the highest accepted included."""
        self._mask = size - 1
        self._next = 0  # one more than the highest accepted
        self._seen = bytearray(size)

    def accept(self, counter: int) -> bool:
        """
        Return whether *counter* is new, and remember it.

        Call it only for datagrams that proved authentic: a forged counter would move the window.
        """
        place = counter & self._mask
        following = self._next
        if counter >= following:
            if counter >= LIMIT:
                return False
            if counter > following:
                self._clear(following, counter)
            self._next = counter + 1
        elif counter < following - self.size or self._seen[place]:
            return False
        self._seen[place] = 1
        return True

    def _clear(self, start: int, stop: int) -> None:
        """Forget what the places of the counters from *start* up to *stop* stood for before."""
        if stop - start >= self.size:
            self._seen = bytearray(self.size)
            return
        first, last = start & self._mask, stop & self._mask
        if first <= last:
            self._seen[first:last] = bytes(last - first)
        else:
            self._seen[first:] = bytes(self.size - first)
            self._seen[:last] = bytes(last)
