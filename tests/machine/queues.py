"""The queueing disciplines, as naive as they can be: lists, and fractions for the tokens."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from aiotun.queueing import Discipline, Fifo, FQCoDel, Priority, TokenBucket

from .packets import is_first_class

__all__ = ["Bag", "ModelQueue", "Plain", "Queued", "Shaped", "Sorted", "make_queue"]

Queued = tuple[bytes, int | None]
"""A packet, and the class it was marked with."""


class ModelQueue:
    """First in, first out, with a bound; the others are made of it."""

    def __init__(self, limit: int, offset: int) -> None:
        self.limit = limit
        self.offset = offset
        self.packets: list[bytes] = []
        self.dropped: Counter[str] = Counter()
        self.offered = self.taken = 0

    def __len__(self) -> int:
        return len(self.packets)

    def mark(self, packet: bytes) -> int | None:
        """The class that classify() puts on a packet."""
        return None

    def room(self) -> int:
        return max(self.limit - len(self.packets), 0)

    def offer(self, packet: bytes, mark: int | None) -> bool:
        self.offered += 1
        if len(self.packets) >= self.limit:
            self.dropped["queue_full"] += 1
            return False
        self.packets.append(packet)
        return True

    def first(self) -> bytes | None:
        return self.packets[0] if self.packets else None

    def released(self, now: Fraction) -> bool:
        """Whether the first may leave now."""
        return bool(len(self))

    def due(self, now: Fraction) -> Fraction | None:
        """When the first may leave, if that is later."""
        return None

    def take(self, limit: int, now: Fraction) -> list[bytes]:
        out: list[bytes] = []
        while len(out) < limit and self.released(now):
            out.append(self.pop())
        return out

    def pop(self) -> bytes:
        self.taken += 1
        return self.packets.pop(0)

    def purge(self, reason: str) -> list[bytes]:
        out, self.packets = self.packets, []
        self.dropped[reason] += len(out)
        return out


class Plain(ModelQueue):
    """Fifo."""


class Sorted(ModelQueue):
    """Priority of two Fifos."""

    def __init__(self, limits: tuple[int, int], offset: int) -> None:
        super().__init__(sum(limits), offset)
        self.limits = limits
        self.classes: tuple[list[bytes], list[bytes]] = ([], [])

    def __len__(self) -> int:
        return len(self.classes[0]) + len(self.classes[1])

    def mark(self, packet: bytes) -> int | None:
        return is_first_class(packet)

    def room(self) -> int:
        return min(limit - len(each) for limit, each in zip(self.limits, self.classes, strict=True))

    def offer(self, packet: bytes, mark: int | None) -> bool:
        self.offered += 1
        index = is_first_class(packet[self.offset :]) if mark is None else mark
        if len(self.classes[index]) >= self.limits[index]:
            self.dropped["queue_full"] += 1
            return False
        self.classes[index].append(packet)
        return True

    def first(self) -> bytes | None:
        return next((each[0] for each in self.classes if each), None)

    def pop(self) -> bytes:
        self.taken += 1
        return next(each for each in self.classes if each).pop(0)

    def purge(self, reason: str) -> list[bytes]:
        out = self.classes[0] + self.classes[1]
        self.classes = ([], [])
        self.dropped[reason] += len(out)
        return out


class Shaped(ModelQueue):
    """TokenBucket around a Fifo, its tokens in bytes."""

    def __init__(self, rate: int, burst: int, limit: int, offset: int) -> None:
        super().__init__(limit, offset)
        self.rate = Fraction(rate, 8)
        self.burst = Fraction(burst)
        self.tokens = self.burst
        self.at: Fraction | None = None

    def fill(self, now: Fraction) -> None:
        if self.at is not None:
            self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now

    def lacking(self, now: Fraction) -> Fraction:
        self.fill(now)
        return min(Fraction(len(self.packets[0])), self.burst) - self.tokens

    def released(self, now: Fraction) -> bool:
        return bool(self.packets) and self.lacking(now) <= 0

    def due(self, now: Fraction) -> Fraction | None:
        if not self.packets:
            return None
        lacking = self.lacking(now)
        return now + lacking / self.rate if lacking > 0 else None

    def pop(self) -> bytes:
        self.tokens -= len(self.packets[0])
        return super().pop()


class Bag(ModelQueue):
    """
    FQ-CoDel, whose choice is not predicted: what leaves must have come in, and the law must hold.

    It asks the real one how many are left, and which packet went.
    """

    def __init__(self, real: Discipline, limit: int, offset: int) -> None:
        super().__init__(limit, offset)
        self.real = real
        self.inside: Counter[bytes] = Counter()
        self.hint: list[bytes] = []  # what the real one gave just now

    def __len__(self) -> int:
        return len(self.real)

    def offer(self, packet: bytes, mark: int | None) -> bool:
        self.offered += 1
        self.inside[packet] += 1
        return True

    def room(self) -> int:
        return self.real.room()

    def take(self, limit: int, now: Fraction) -> list[bytes]:
        packets, self.hint = self.hint, []
        assert len(packets) <= limit
        self.taken += len(packets)
        self.inside.subtract(packets)
        assert all(self.inside[packet] >= 0 for packet in packets), "a packet left that never came"
        return packets


def make_queue(index: int, offset: int) -> tuple[Discipline, ModelQueue]:
    """Return one of several disciplines and its model; 0 to 8, those with a timer twice."""
    if index == 0:
        return Fifo(3), Plain(3, offset)
    if index == 1:
        return Fifo(1), Plain(1, offset)
    if index == 2:
        return Priority([Fifo(2), Fifo(3)], is_first_class), Sorted((2, 3), offset)
    if index in (3, 7):
        return TokenBucket(80_000, 200, Fifo(4)), Shaped(80_000, 200, 4, offset)
    if index in (4, 8):
        return TokenBucket(7_777, 60, Fifo(3)), Shaped(7_777, 60, 3, offset)
    if index == 5:
        real = FQCoDel(5, flows=4, seed=1)
        return real, Bag(real, 5, offset)
    return Fifo(50), Plain(50, offset)
