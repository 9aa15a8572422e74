"""
No packet disappears: a device, under any order of calls, beside a model that counts one by one.

One machine for both drivers; what differs between them is when ``opackets`` counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aiotun.driver import Device, Flags, TapDevice, TunDevice
from aiotun.errors import DeviceBusy, DeviceDown, DeviceGone, UnsupportedFamily

from .fakes import FOREIGN, IPV4, IPV6, Stack

QUEUE = 4


class Conservation(RuleBasedStateMachine):
    """Output, read, write, up, down, open, close and destroy, in any order."""

    kind: Callable[..., Device]
    counts_at_output: bool

    @initialize()
    def make(self) -> None:
        self.stack = Stack()
        self.device = self.kind("dev0", self.stack, queue_length=QUEUE)
        self.open = self.up = self.gone = False
        self.queue: list[bytes] = []
        self.offered = self.taken = self.opackets = self.obytes = 0
        self.collisions = 0
        self.entered: list[bytes] = []
        self.dropped: Counter[str] = Counter()

    def carries(self, packet: bytes) -> bool:
        return not self.counts_at_output or packet is not FOREIGN

    def count_output(self, packet: bytes) -> None:
        self.opackets += 1
        self.obytes += len(packet)

    def model_purge(self, reason: str) -> None:
        self.dropped[reason] += len(self.queue)
        if not self.counts_at_output:
            for packet in self.queue:
                self.count_output(packet)
        self.queue = []

    def expect_gone(self, call: Callable[[], object]) -> None:
        with pytest.raises(DeviceGone):
            call()

    @rule(batch=st.lists(st.sampled_from([IPV4, IPV6, FOREIGN]), max_size=6))
    def output(self, batch: list[bytes]) -> None:
        if self.gone:
            self.expect_gone(lambda: self.device.output(batch))
            return
        self.offered += len(batch)
        if not self.up:
            self.dropped["down"] += len(batch)
            with pytest.raises(DeviceDown):
                self.device.output(batch)
            return
        queued = 0
        for packet in batch:
            if not self.carries(packet):
                self.dropped["unsupported_family"] += 1
            elif len(self.queue) == QUEUE:
                self.dropped["queue_full"] += 1
                self.collisions += 1
            else:
                queued += 1
                self.queue.append(packet)
                if self.counts_at_output:
                    self.count_output(packet)
        assert self.device.output(batch) == queued

    @rule(limit=st.integers(1, 6))
    def read(self, limit: int) -> None:
        if self.gone:
            self.expect_gone(lambda: self.device.read_many(limit))
            return
        expected = self.queue[:limit] if self.up else []
        self.queue = self.queue[len(expected) :]
        self.taken += len(expected)
        if not self.counts_at_output:
            for packet in expected:
                self.count_output(packet)
        assert self.device.read_many(limit) == expected

    @rule(batch=st.lists(st.sampled_from([IPV4, IPV6, FOREIGN]), max_size=6))
    def write(self, batch: list[bytes]) -> None:
        if self.gone:
            self.expect_gone(lambda: self.device.write_many(batch))
        elif not self.up:
            with pytest.raises(DeviceDown):
                self.device.write_many(batch)
        elif all(map(self.carries, batch)):
            self.entered += batch
            assert self.device.write_many(batch) == len(batch)
        else:
            self.entered += batch[: batch.index(FOREIGN)]
            with pytest.raises(UnsupportedFamily):
                self.device.write_many(batch)

    @rule(up=st.booleans())
    def set_up(self, up: bool) -> None:
        if self.gone:
            self.expect_gone(lambda: self.device.set_up(up))
            return
        self.up = up
        self.device.set_up(up)

    @rule()
    def open_device(self) -> None:
        if self.gone:
            self.expect_gone(self.device.open)
        elif self.open:
            with pytest.raises(DeviceBusy):
                self.device.open()
        else:
            self.open = True
            self.device.open()

    @rule()
    def close_device(self) -> None:
        if self.open:
            self.model_purge("closed")
            self.open = self.up = False
        self.device.close()

    @precondition(lambda self: self.offered > 6)
    @rule()
    def destroy(self) -> None:
        self.model_purge("gone")
        self.up, self.gone = False, True
        self.device.destroy()

    @invariant()
    def the_law(self) -> None:
        """What the stack offered was read, is queued, or was dropped under a reason."""
        assert self.offered == self.taken + len(self.device.snd) + sum(self.device.counters().dropped.values())

    @invariant()
    def the_law_of_the_queue(self) -> None:
        counted = self.device.snd.statistics()
        assert counted.offered == counted.taken + counted.queued + sum(counted.dropped.values())

    @invariant()
    def counted_as_in_the_model(self) -> None:
        counters = self.device.counters()
        assert counters.dropped == +self.dropped
        assert (counters.opackets, counters.obytes) == (self.opackets, self.obytes)
        assert (counters.ipackets, counters.ibytes) == (len(self.entered), sum(map(len, self.entered)))
        assert self.device.counts.collisions == self.collisions

    @invariant()
    def entered_as_in_the_model(self) -> None:
        assert self.stack.entered == self.entered

    @invariant()
    def ready_when_there_is_something_to_read(self) -> None:
        assert self.device.readable._level == (self.gone or (self.up and bool(self.queue)))

    @invariant()
    def active_while_something_is_queued(self) -> None:
        if not self.counts_at_output:
            assert bool(self.device.flags & Flags.OACTIVE) == bool(self.queue)


class TunConservation(Conservation):
    kind = TunDevice
    counts_at_output = True


class TapConservation(Conservation):
    kind = TapDevice
    counts_at_output = False


TestTunConservation = TunConservation.TestCase
TestTapConservation = TapConservation.TestCase
TestTunConservation.settings = TestTapConservation.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=30
)
