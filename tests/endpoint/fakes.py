"""A port that plays a script, for every answer of a device that no real one gives on demand."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest

from aiotun.endpoint import Capabilities, Event, InterfaceCounters, Port, Readiness, receiving

IPV4 = bytes.fromhex("4500002800000000400100007f0000017f000001") + bytes(20)

Read = Sequence[bytes] | Exception
Write = int | Exception


def packets(count: int, start: int = 0) -> list[bytes]:
    """IPv4 packets of 40 bytes, numbered in the last four."""
    return [IPV4[:-4] + number.to_bytes(4, "big") for number in range(start, start + count)]


def numbers(batch: Sequence[bytes]) -> list[int]:
    return [int.from_bytes(packet[-4:], "big") for packet in batch]


BUDGET = 2**-10
"""The time budget of the tests, in seconds: its fractions are exact."""


class Clock:
    """The time by which a slow consumer is known: it passes only when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 4096.0
        monkeypatch.setattr(receiving, "TIME_BUDGET", BUDGET)
        monkeypatch.setattr(receiving, "time", SimpleNamespace(perf_counter=lambda: self.now))


class FakePort(Port):
    """
    Answers read_many() and write_many() from lists.

    A scripted read is a batch, of which no more than the limit is returned at once, or an exception to
    raise; after the script nothing is queued. A scripted write is how many packets are accepted, or an
    exception; after the script everything is.
    """

    def __init__(
        self, *, read: Sequence[Read] = (), write: Sequence[Write] = (), mtu: int = 1500, fd: int = -1
    ) -> None:
        self.name = "fake0"
        self.mtu = mtu
        self.fd = fd
        self.capabilities = Capabilities(asked=frozenset({"FAKE"}), granted=frozenset({"FAKE"}))
        self.readable = Readiness("receiving from fake0")
        self.writable = Readiness("sending to fake0")
        self.read_script: deque[Read] = deque(read)
        self.write_script: deque[Write] = deque(write)
        self.limits: list[int] = []
        """The limit of every call of read_many()."""
        self.wholes = 0
        """How many of the reads were read_whole()."""
        self.offered: list[int] = []
        """How many packets every call of write_many() was given."""
        self.written: list[bytes] = []
        self.up = True
        self.next_name, self.next_mtu = self.name, mtu
        self.tell: Callable[[Event], None] | None = None
        self.watches = self.disarms = self.closes = 0
        self.freed = False
        self.interface: InterfaceCounters | None = None

    def output(self, *batches: Read) -> None:
        """Add to what can be read, and wake whoever waits for it."""
        self.read_script.extend(batches)
        self.readable.wake()

    def fileno(self) -> int:
        return self.fd

    def read_many(self, limit: int) -> list[bytes]:
        self.limits.append(limit)
        if not self.read_script:
            return []
        answer = self.read_script.popleft()
        if isinstance(answer, Exception):
            raise answer
        if len(answer) > limit:
            self.read_script.appendleft(answer[limit:])
        return list(answer[:limit])

    def read_whole(self, limit: int) -> list[bytes]:
        self.wholes += 1
        return self.read_many(limit)

    def write_many(self, batch: Sequence[bytes]) -> int:
        self.offered.append(len(batch))
        answer = self.write_script.popleft() if self.write_script else len(batch)
        if isinstance(answer, Exception):
            self.written += batch[: getattr(answer, "sent", 0)]
            raise answer
        self.written += batch[:answer]
        return min(answer, len(batch))

    def is_up(self) -> bool:
        return self.up

    def refresh(self) -> None:
        self.name, self.mtu = self.next_name, self.next_mtu

    def counters(self) -> InterfaceCounters | None:
        return self.interface

    def watch(self, tell: Callable[[Event], None]) -> None:
        self.watches += 1
        self.tell = tell

    def disarm(self) -> None:
        self.disarms += 1

    async def aclose(self) -> None:
        self.closes += 1
        self.freed = True

    def close_now(self) -> None:
        self.closes += 1
        self.freed = True

    def detach(self) -> int:
        fd, self.fd = self.fd, -1
        return fd


class SlowPort(FakePort):
    """A port that takes until ``done`` is set to close, and raises a cancel only once it is free."""

    def __init__(self) -> None:
        super().__init__()
        self.done = asyncio.Event()
        self.closing = asyncio.Event()

    async def aclose(self) -> None:
        self.closes += 1
        self.closing.set()
        cancelled: asyncio.CancelledError | None = None
        freeing = asyncio.ensure_future(self.done.wait())
        while not freeing.done():
            try:
                await asyncio.shield(freeing)
            except asyncio.CancelledError as error:
                cancelled = error
        self.freed = True
        if cancelled:
            raise cancelled


class BrokenPort(FakePort):
    """A port that fails to close."""

    async def aclose(self) -> None:
        raise OSError("cannot close")


class PipePort(FakePort):
    """A port with a descriptor that a program may be given."""

    def __init__(self, *, read: Sequence[Read] = ()) -> None:
        super().__init__(read=read, fd=os.memfd_create("fake"))
