"""
A reliable bulk transfer over packets that may be lost, duplicated or reordered. No I/O, and no clock.

Each packet is a fixed head, a 64-bit number, and a chunk. The receiver answers with the number it
waits for and a bit for each later one it has; the sender keeps at most a window of packets
unanswered, and sends again what was overtaken or is overdue. Both digest the chunks in order, so in
the end they know whether they mean the same content.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable

__all__ = ["NUMBER_SIZE", "BulkReceiver", "BulkSender"]

NUMBER_SIZE = 8
CHUNKS = 64
"""Different chunks, sent in turn; a power of two."""

TIMEOUT = 0.2
"""Seconds without an answer after which the unanswered packets are sent again; doubled every time."""
LONGEST_TIMEOUT = 2.0
OVERTAKEN = 3
"""A packet that so many later ones have overtaken is lost: RFC 5681."""


class BulkSender:
    """
    Sends as much as the window lets it.

    Args:
        head: Bytes that every packet begins with.
        chunk_size: Bytes of content in every packet.
        window: Packets on their way at most; as many as the shortest queue between the ends holds.
    """

    def __init__(self, head: bytes, chunk_size: int, window: int) -> None:
        self._window = window
        self.digest = 0
        """The digest of the content so far."""
        self.answered = 0
        """Packets known to have arrived, with all before them."""
        self.resent = 0
        """Packets sent more than once."""
        self._head = head
        self._chunks = [os.urandom(chunk_size) for _ in range(CHUNKS)]
        self._digests = [_digest(chunk) for chunk in self._chunks]
        self._next = 0
        self._arrived: set[int] = set()  # later than _answered
        self._resent: set[int] = set()  # since the last timeout
        self._timeout = TIMEOUT
        self._due: float | None = None

    @property
    def unanswered(self) -> int:
        """Packets on their way, or lost."""
        return self._next - self.answered

    @property
    def due(self) -> float | None:
        """When to call overdue(), or None while nothing is on its way."""
        return self._due

    def fill(self, now: float, limit: int) -> list[bytes]:
        """Return new packets: up to *limit*, and as many as the window allows."""
        start = self._next
        stop = min(start + limit, self.answered + self._window)
        if stop <= start:
            return []
        self._next = stop
        if self._due is None:
            self._due = now + self._timeout
        numbers = range(start, stop)
        self.digest = zlib.crc32(b"".join([self._digests[number % CHUNKS] for number in numbers]), self.digest)
        return self._packets(numbers)

    def answer(self, payload: bytes, now: float) -> list[bytes]:
        """Take note of the receiver's answer; return packets to send again. Nonsense is ignored."""
        number = int.from_bytes(payload[:NUMBER_SIZE], "big")
        if len(payload) < NUMBER_SIZE or not self.answered <= number <= self._next:
            return []
        if number > self.answered:
            self.answered = number
            self._resent = {again for again in self._resent if again > number}
            self._timeout = TIMEOUT
            self._due = now + TIMEOUT if self._next > number else None
        later = int.from_bytes(payload[NUMBER_SIZE:], "little")
        if not later:
            self._arrived.clear()
            return []
        self._arrived = {number + index for index in range(1, later.bit_length()) if later >> index & 1}
        return self._again(sorted(self._arrived)[-OVERTAKEN] if len(self._arrived) >= OVERTAKEN else number)

    def overdue(self, now: float) -> list[bytes]:
        """Return the packets to send again at *now*, if it is time."""
        if self._due is None or now < self._due:
            return []
        self._timeout = min(2 * self._timeout, LONGEST_TIMEOUT)
        self._due = now + self._timeout
        self._resent.clear()
        return self._again(self._next)

    def _again(self, stop: int) -> list[bytes]:
        """Return the packets before *stop* that did not arrive, unless just sent again."""
        lost = [n for n in range(self.answered, stop) if n not in self._arrived and n not in self._resent]
        self._resent.update(lost)
        self.resent += len(lost)
        return self._packets(lost)

    def _packets(self, numbers: Iterable[int]) -> list[bytes]:
        head, chunks = self._head, self._chunks
        return [head + number.to_bytes(NUMBER_SIZE, "big") + chunks[number % CHUNKS] for number in numbers]


class BulkReceiver:
    """
    Puts the content together.

    Args:
        head_size: Bytes in front of a packet's number.
        window: Packets kept that came too early, at most.
    """

    def __init__(self, head_size: int, window: int) -> None:
        self.received = 0
        """Packets received in order, each counted once."""
        self.content = 0
        """Their content, in bytes."""
        self.repeated = 0
        """Packets that were here before."""
        self.digest = 0
        """The digest of the content so far."""
        self._number = slice(head_size, head_size + NUMBER_SIZE)
        self._chunk = slice(head_size + NUMBER_SIZE, None)
        self._window = window
        self._early: dict[int, bytes] = {}

    def take(self, batch: Iterable[bytes]) -> None:
        """Take packets in any order."""
        number_at, chunk_at, from_bytes = self._number, self._chunk, int.from_bytes
        in_order: list[bytes] = []
        append = in_order.append
        expected = self.received
        early = self._early
        for packet in batch:
            number = from_bytes(packet[number_at], "big")
            if number != expected:
                self._take_early(number, packet[chunk_at], expected)
                continue
            append(packet[chunk_at])
            expected += 1
            while early and (chunk := early.pop(expected, None)) is not None:
                append(chunk)
                expected += 1
        self.received = expected
        self.content += sum(map(len, in_order))
        self.digest = zlib.crc32(b"".join(map(_digest, in_order)), self.digest)

    def answer(self) -> bytes:
        """Return the payload of an answer: what we wait for, and what came early."""
        later = 0
        for number in self._early:
            later |= 1 << number - self.received
        return self.received.to_bytes(NUMBER_SIZE, "big") + later.to_bytes((later.bit_length() + 7) // 8, "little")

    def _take_early(self, number: int, chunk: bytes, expected: int) -> None:
        if number < expected or number in self._early:
            self.repeated += 1
        elif number < expected + self._window:
            self._early[number] = chunk


def _digest(chunk: bytes) -> bytes:
    return zlib.crc32(chunk).to_bytes(4, "big")
