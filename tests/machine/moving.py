"""Actions that move packets and wait for nothing."""

from __future__ import annotations

from typing import Any

from aiotun.driver import SockAddr

from .core import DEVICES, POOL, Core, action
from .pair import answer, expected

__all__ = ["Moving"]


class Moving(Core):
    """Actions that move packets and wait for nothing."""

    @action(14, which=DEVICES, packet=POOL, count=7, stride=POOL)
    def output(self, which: int, packet: int, count: int, stride: int) -> None:
        pair = self._pair(which)
        batch = self._batch(pair, packet, count, stride)
        self._both(lambda: list(pair.real.output(batch)), lambda: pair.model.output(batch))

    @action(6, which=DEVICES, packet=POOL)
    def output_packet(self, which: int, packet: int) -> None:
        pair = self._pair(which)
        (one,) = self._batch(pair, packet, 1, 0)
        self._both(lambda: pair.real.output_packet(one), lambda: pair.model.output_packet(one))

    @action(4, which=DEVICES, packet=POOL, family=5, count=3)
    def output_to(self, which: int, packet: int, family: int, count: int) -> None:
        pair = self._pair(which)
        if not pair.model.tun:
            return
        batch = self._batch(pair, packet, count, 1)
        text = "192.0.2.77" if family == 0 else ""
        kind = (2, 28, 23, 0, 0)[family]
        to = SockAddr(kind, {2: text, 28: "::1"}.get(kind, ""))
        real: Any = pair.real
        self._both(
            lambda: real.output_to(to, batch),
            lambda: pair.model.output_to(text, kind, batch),
        )

    @action(12, which=DEVICES, packet=POOL, count=7, stride=POOL)
    def write(self, which: int, packet: int, count: int, stride: int) -> None:
        pair = self._pair(which)
        batch = self._batch(pair, packet, count, stride)
        if count == 1:
            self._both(lambda: pair.real.write(batch[0]), lambda: [pair.model.write_many(batch), len(batch[0])][1])
        else:
            self._both(lambda: pair.real.write_many(batch), lambda: pair.model.write_many(batch))

    @action(10, which=DEVICES, size=4)
    def read(self, which: int, size: int) -> None:
        pair = self._pair(which)
        room = 65536 if pair.model.loose else (65536, 65536, 28, 0)[size]
        theirs = answer(lambda: pair.real.read(room))
        pair.hint([theirs[1]] if theirs[0] == "returned" else [])
        assert theirs == expected(lambda: pair.model.read(room, self._sleeps(pair)))

    @action(6, which=DEVICES, limit=5)
    def read_many(self, which: int, limit: int) -> None:
        pair = self._pair(which)
        theirs = answer(lambda: pair.real.read_many(limit))
        pair.hint(theirs[1] if theirs[0] == "returned" else [])
        assert theirs == expected(lambda: pair.model.read_many(limit))

    @action(8, which=DEVICES, limit=4)
    def recv_nowait(self, which: int, limit: int) -> None:
        pair = self._pair(which)
        endpoint, naive = pair.endpoint, pair.model_endpoint
        if endpoint is None or naive is None:
            self.read(which, limit % 4)
            return
        held = bool(naive.held)
        count = limit or 1
        theirs = answer(lambda: endpoint.recv_many_nowait(count) if limit else [endpoint.recv_nowait()])
        if not held:
            pair.hint(theirs[1] if theirs[0] == "returned" else [])
        assert theirs == expected(lambda: naive.recv_many(count))

    @action(8, which=DEVICES, packet=POOL, count=7, stride=POOL, drop=2)
    def send(self, which: int, packet: int, count: int, stride: int, drop: int) -> None:
        """Send from the endpoint; awaited, but it never waits."""
        pair = self._pair(which)
        endpoint, naive = pair.endpoint, pair.model_endpoint
        if endpoint is None or naive is None:
            self.write(which, packet, count, stride)
            return
        batch = self._batch(pair, packet, count, stride)
        if drop:
            self._both(lambda: self.loop.run(endpoint.send_many(batch)), lambda: [batch and naive.send(batch), None][1])
        else:
            self._both(lambda: endpoint.send_many_nowait(batch), lambda: naive.send(batch))
