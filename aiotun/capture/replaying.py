"""Replaying a capture: an endpoint that receives what was recorded, when it is due."""

from __future__ import annotations

import errno
import itertools
import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import BinaryIO

from ..batch import nbytes
from ..endpoint import Endpoint, Event, InterfaceCounters, Readiness, SteadyPort
from ..endpoint.forking import abandon_in_child
from ..errors import DeviceClosed, DeviceError, PacketError
from ..offload import segment
from ..packet import SuperPacket
from .blocks import Direction
from .interface import CaptureInterface
from .opening import open_capture
from .pcap import LinkType
from .reading import CaptureReader
from .records import Recorded
from .schedule import DueReadiness, Schedule

__all__ = ["Replay", "ReplayPort", "replay"]

REFUSED = errno.EOPNOTSUPP


def replay(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    speed: float | None = 1.0,
    interface: str | int | None = None,
    direction: Direction | None = None,
    repeat: int | None = 1,
    answers: CaptureInterface | None = None,
) -> Replay:
    """
    Open a capture as an endpoint: ``async with replay("vpn.pcapng") as trace: async for packet in trace``.

    Packets come as far apart as they were recorded, from the first receive on, by the event loop's clock; who is late
    gets what is due at once. The capture is read as it is needed. After the last packet iteration ends, and recv()
    raises DeviceClosed. A super-packet comes cut, or whole to who asks for it so, as it was recorded; packets of which
    not everything was kept do not come, and are counted as ``truncated``. A capture of several interfaces comes as one
    row, in the file's order: name the *interface* where the same packets are on more than one, as watch() writes them.

    Args:
        source: A pcapng or pcap file: its path, or a file object, which stays the caller's and must be able to seek.
        speed: How many times as fast as recorded; None is as fast as they are received.
        interface: Only packets of the interface with this name or number.
        direction: Only packets that went this way.
        repeat: How often the capture is replayed; None is for ever.
        answers: Where what is sent is recorded; without it sending is refused.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is no file, speed or repeat is not above 0, or there is no such direction.

    Receiving raises PacketError where the file is not a capture any more, and ValueError at its end if it has no such
    interface: a capture may name one anywhere.
    """
    if speed is not None and not speed > 0:
        raise ValueError(f"replay: speed is {speed}, it must be above 0, or None for no pauses")
    if repeat is not None and repeat < 1:
        raise ValueError(f"replay: repeat is {repeat}, it must be at least 1, or None for ever")
    if direction not in (None, "in", "out"):
        raise ValueError(f'replay: direction is "in" or "out", not {direction!r}')
    owned = isinstance(source, str | os.PathLike)
    file = _open(source) if isinstance(source, str | os.PathLike) else source
    port = ReplayPort(
        file,
        str(getattr(file, "name", "capture")),
        owned=owned,
        speed=speed,
        interface=interface,
        direction=direction,
        repeat=repeat,
        answers=answers,
    )
    return Replay(port)


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{os.fspath(path)}: only a file can be replayed, for reading it must not wait")
    return open(path, "rb")


class Replay(Endpoint):
    """A capture with the face of every endpoint; made by replay()."""

    __slots__ = ()
    kind = "replay"

    def _discard(self) -> None:
        self._drop("closed", len(self._held))  # and no more: what is still in the file is not lost
        self._held.clear()


class ReplayPort(SteadyPort):
    """A capture as an endpoint sees it. Owns the file if *owned*. There is no descriptor to poll."""

    superpackets = True

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        owned: bool,
        speed: float | None,
        interface: str | int | None,
        direction: Direction | None,
        repeat: int | None,
        answers: CaptureInterface | None,
    ) -> None:
        self.name = name
        self.mtu = 65535
        self.readable: DueReadiness = DueReadiness(f"receiving from {name}")
        self.writable = Readiness(f"sending to {name}", level=True)
        self._file = file
        self._owned = owned
        self._answers = answers
        self._interface = interface
        self._direction = direction
        self._recorded = self._rounds(repeat)
        self._schedule = None if speed is None else Schedule(speed)
        self._next: Recorded | None = None  # not due when it was read
        self._end: Exception | None = None  # what is raised once everything was taken
        self._cut: deque[bytes] = deque()  # segments of a super-packet that were not taken yet
        self._dropped: Counter[str] = Counter()
        self._sent = self._sent_bytes = self._received = self._received_bytes = 0
        abandon_in_child(self)

    def read_many(self, limit: int) -> list[bytes]:
        cut = self._cut
        for _ in range(limit):  # no more, for some may come to nothing
            if len(cut) >= limit or (recorded := self._due(asked=not cut)) is None:
                break
            self._finish(recorded)
        return self._counted([cut.popleft() for _ in range(min(limit, len(cut)))])

    def read_whole(self, limit: int) -> list[bytes]:
        batch = [self._cut.popleft() for _ in range(min(limit, len(self._cut)))]
        while len(batch) < limit and (recorded := self._due(asked=not batch)) is not None:
            batch.append(recorded.packet)
        return self._counted(batch)

    def write_many(self, batch: Sequence[bytes]) -> int:
        if self._answers is None:
            raise DeviceError(f"{self.name}: a capture takes no packets; replay() has answers= for them", REFUSED)
        self._answers.write_many(batch, direction="in")
        self._sent += len(batch)
        self._sent_bytes += nbytes(batch)
        return len(batch)

    def fileno(self) -> int:
        return -1

    def counters(self) -> InterfaceCounters:
        """Return what was replayed, ``opackets``, and what was sent to it, ``ipackets``."""
        return InterfaceCounters(
            ipackets=self._sent,
            ibytes=self._sent_bytes,
            opackets=self._received,
            obytes=self._received_bytes,
            dropped=dict(self._dropped),
        )

    def watch(self, tell: Callable[[Event], None]) -> None:
        """There is nothing to tell."""

    def disarm(self) -> None:
        self.readable.disarm()

    def close_now(self) -> None:
        self.disarm()
        self.abandon()

    def abandon(self) -> None:
        """See Abandoning."""
        self._recorded.close()
        if self._owned:
            self._file.close()

    def detach(self) -> int:
        raise DeviceError(f"{self.name}: a capture has no descriptor to give away", REFUSED)

    # --- inside -----------------------------------------------------------------------------------

    def _due(self, *, asked: bool) -> Recorded | None:
        """Return the next packet if it is due. Raise at the end, if nothing else is there to be returned: *asked*."""
        if (recorded := self._next or self._read()) is not None:
            if self._schedule is not None and not self._schedule.is_due(recorded):
                self._next = recorded
                self.readable.clear_until(self._schedule.due)
                return None
            self._next = None
            return recorded
        if asked and self._end is not None:
            error = self._end
            self._end = DeviceClosed(f"{self.name}: the capture has ended")
            raise error.with_traceback(None)
        return None

    def _read(self) -> Recorded | None:
        if self._end is not None:
            return None
        try:
            recorded = next(self._recorded, None)
        except Exception as error:  # after what was read before it
            self._end = error
            return None
        if recorded is None:
            self._end = DeviceClosed(f"{self.name}: the capture has ended")
        return recorded

    def _rounds(self, repeat: int | None) -> Generator[Recorded, None, None]:
        """Yield the packets that are wanted, *repeat* times; without end if that is None, but if there are none."""
        start = self._file.tell() if repeat != 1 else 0
        for turn in itertools.count() if repeat is None else range(repeat):
            if turn:
                self._file.seek(start)
                if self._schedule is not None:
                    self._schedule.restart()
            some = False
            for recorded in self._wanted(open_capture(self._file)):
                if len(recorded.packet) < recorded.length:
                    self._dropped["truncated"] += 1
                    continue
                some = True
                yield recorded
            if not some:
                return

    def _wanted(self, capture: CaptureReader) -> Iterator[Recorded]:
        """Yield the packets asked for; raise ValueError at the end if there is no such interface."""
        asked, there = self._interface, False
        for recorded in capture:
            if asked is None or asked in (recorded.interface.index, recorded.interface.name):
                there = True
                if self._direction in (None, recorded.direction):
                    yield recorded
        names = [one.name or str(one.index) for one in capture.interfaces]
        if asked is not None and not there and asked not in names and asked not in range(len(names)):
            raise ValueError(f"{self.name}: there is no interface {asked!r}; it has {', '.join(names) or 'none'}")

    def _finish(self, recorded: Recorded) -> None:
        packet = recorded.packet
        if not isinstance(packet, SuperPacket):
            self._cut.append(packet)
            return
        try:
            self._cut += segment(packet, recorded.interface.linktype == LinkType.ETHERNET)
        except PacketError as error:
            self._dropped[error.reason] += 1

    def _counted(self, batch: list[bytes]) -> list[bytes]:
        self._received += len(batch)
        self._received_bytes += nbytes(batch)
        return batch
