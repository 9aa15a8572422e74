"""CoDel written down once more, one packet at a time and for no speed, to compare with."""

from __future__ import annotations

from math import sqrt


class NaiveCoDel:
    """A list of arrivals and packets under the law of RFC 8289 section 5, without marks."""

    def __init__(self, target: float, interval: float, mtu: int) -> None:
        self.target, self.interval, self.mtu = target, interval, mtu
        self.queue: list[tuple[float, bytes]] = []
        self.dropped: list[bytes] = []
        self.first_above = 0.0
        self.next = 0.0
        self.count = self.last_count = 0
        self.dropping = False

    def push(self, packet: bytes, now: float) -> None:
        self.queue.append((now, packet))

    def take(self, now: float) -> tuple[bytes | None, bool]:
        """Return the next packet, and whether it may be dropped."""
        if not self.queue:
            self.first_above = 0.0
            return None, False
        arrival, packet = self.queue.pop(0)
        waiting = sum(len(packet) for _, packet in self.queue)
        if now - arrival < self.target or waiting <= self.mtu:
            self.first_above = 0.0
        elif self.first_above == 0.0:
            self.first_above = now + self.interval
        elif now >= self.first_above:
            return packet, True
        return packet, False

    def drop(self, packet: bytes | None) -> None:
        assert packet is not None
        self.dropped.append(packet)

    def pull(self, now: float) -> bytes | None:
        packet, may_drop = self.take(now)
        if not self.dropping:
            if may_drop:
                self.drop(packet)
                packet, _ = self.take(now)
                self.dropping = True
                since = self.count - self.last_count
                self.count = since if since > 1 and now - self.next < 16 * self.interval else 1
                self.last_count = self.count
                self.next = now + self.interval / sqrt(self.count)
            return packet
        if not may_drop:
            self.dropping = False
        while self.dropping and now >= self.next:
            self.drop(packet)
            self.count += 1
            packet, may_drop = self.take(now)
            if may_drop:
                self.next += self.interval / sqrt(self.count)
            else:
                self.dropping = False
        return packet
