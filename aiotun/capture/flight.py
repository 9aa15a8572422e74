"""The flight recorder: the last packets that passed and what became of them, in a file when something goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from pathlib import Path as FilePath
from types import TracebackType
from typing import BinaryIO, Self

from ..batch import nbytes
from ..errors import DeviceError, PacketError
from ..pipeline import Batch, Outcome, Path, Stage
from .blocks import Direction
from .flight_story import Run, Step, tell
from .interface import CaptureInterface
from .pcapng import PcapngWriter
from .probe import Probe, Probes, linktype_of

__all__ = ["FlightRecorder"]

FILE = "flight-%Y%m%d-%H%M%S.pcapng"


class FlightRecorder:
    """
    Remembers the last packets of some paths: when they came, which stages they passed, and what became of them.

    Meant to be always on. It keeps references to the packets, no copies, and works out what happened only when it is
    asked for: at an exception that leaves its ``with`` block, at a signal, or by dump(). The file has an interface
    for each path, and each packet a comment, like ``passed classify; dropped by filter: not_wanted``::

        with FlightRecorder() as recorder:
            recorder.watch(interface.output, direction="out")
            recorder.dump_on_signal()
            ...

    Memory is bounded by both limits, but that the newest batch is always kept. A batch that a stage changed counts
    again, as long as its packets are. Use it in one thread.

    Args:
        limit: Packets that are remembered.
        max_bytes: Their bytes.
        file: Where dump() writes, with the fields of strftime(), in UTC. A file that is there is never overwritten.

    Raises:
        ValueError: If a limit is below 1.
    """

    def __init__(self, limit: int = 4096, max_bytes: int = 16 << 20, *, file: str | os.PathLike[str] = FILE) -> None:
        if limit < 1 or max_bytes < 1:
            raise ValueError(f"flight recorder: it remembers at least 1 packet and 1 byte, not {limit} and {max_bytes}")
        self._limit = limit
        self._max_bytes = max_bytes
        self._file = os.fspath(file)
        self._runs: deque[Run] = deque()
        self._packets = self._bytes = 0
        self._run: Run | None = None  # the batch under way, or the last
        self._fault: Exception | None = None  # what a stage raised: who runs the path may cancel our block for it
        self._watched: dict[Path, tuple[Probes[Run], Direction | None, int]] = {}
        self._signals: list[tuple[asyncio.AbstractEventLoop, int]] = []

    def __len__(self) -> int:
        """How many packets are remembered."""
        return self._packets

    @property
    def nbytes(self) -> int:
        """How many bytes are remembered."""
        return self._bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Dump if an exception leaves the block, which gets a note of where; not for a cancel or an exit. Close."""
        try:
            fault = error if isinstance(error, Exception) else self._fault if error is not None else None
            if fault is not None:
                try:
                    fault.add_note(f"flight recorder: the last packets are in {self.dump(reason=repr(fault))}")
                except Exception as failed:
                    fault.add_note(f"flight recorder: the last packets could not be written: {failed}")
        finally:
            self.close()

    def watch(self, path: Path, *, direction: Direction | None = None, linktype: int | None = None) -> None:
        """
        Remember what passes *path* from now on. Its stages may be changed; those put in later are not told of.

        *linktype* is what its packets begin with; by default as the path says, frames or IP packets.

        Raises:
            ValueError: If the path is watched already, or has no stage.
        """
        if path in self._watched:
            raise ValueError(f"{path.name}: the flight recorder watches it already")
        if not len(path):
            raise ValueError(f"{path.name}: there is no stage to watch")
        self._watched[path] = Probes(path, self), direction, linktype_of(path, linktype)

    def dump_on_signal(self, number: int = signal.SIGUSR2) -> None:
        """
        Dump whenever the process gets this signal, in the running event loop, until close().

        What goes wrong with the file is told to the loop's exception handler.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(number, lambda: self.dump(reason=signal.Signals(number).name))
        self._signals.append((loop, number))

    def dump(self, target: str | os.PathLike[str] | BinaryIO | None = None, *, reason: str = "") -> FilePath | None:
        """
        Write what is remembered as pcapng, and go on remembering. Blocks for some microseconds a packet.

        Args:
            target: A path or file object; by default a new file of the recorder's name.
            reason: Why, for the file's header.

        Returns:
            The path of the file, or None for a file object.

        Raises:
            OSError: If the file cannot be written.
        """
        if target is None:
            target = self._new_file()
        with PcapngWriter(target, comment=f"flight recorder: {reason}" if reason else "flight recorder") as writer:
            interfaces: dict[Path, CaptureInterface] = {}
            for run in tuple(self._runs):
                path = run.path
                if path not in interfaces:
                    interfaces[path] = writer.interface(path.name, run.linktype)
                for packet, comment in tell(run):
                    interfaces[path].write(packet, run.time_ns, direction=run.direction, comments=comment)
        return FilePath(target) if isinstance(target, str | os.PathLike) else None

    def close(self) -> None:
        """Watch no more, and forget: paths and signals are as they were. Idempotent."""
        for probes, _, _ in self._watched.values():
            probes.remove()
        self._watched.clear()
        for loop, number in self._signals:
            if not loop.is_closed():
                loop.remove_signal_handler(number)
        self._signals.clear()
        self._runs.clear()
        self._run = None
        self._packets = self._bytes = 0

    # --- what the probes tell ---------------------------------------------------------------------

    def enter(self, probe: Probe[Run], batch: Batch) -> Run:
        """See Observer."""
        run = self._run
        # Of the same batch, if it goes on behind where the last one we saw was: a batch may also enter behind stages
        # that have no probe, or a stage may send packets through the path itself.
        if run is None or run.path is not probe.path or probe.index <= run.last or not run.current:
            run = self._begin(probe, batch)
        elif batch is not run.returned:  # cut in between, for a stage that takes no super-packets
            self._step(run, "segment", None, batch)
        run.last = probe.index
        run.inside = True
        return run

    def leave(self, run: Run, probe: Probe[Run], after: Batch | BaseException) -> None:
        """See Observer."""
        self._run = run
        run.inside = False
        if after == run.current:  # asks first whether the packets are the same objects, so it is quick
            run.returned = after
            run.steps.append(probe)
        else:
            self._step(run, probe.name, probe.stage, after)
            if isinstance(after, Exception) and not isinstance(after, DeviceError | PacketError):
                self._fault = after

    # --- inside -----------------------------------------------------------------------------------

    def _begin(self, probe: Probe[Run], batch: Batch) -> Run:
        _, direction, linktype = self._watched[probe.path]
        run = Run(probe.path, time.time_ns(), list(batch), direction, linktype, len(probe.path))
        self._runs.append(run)
        self._count(run, len(batch), nbytes(batch))
        return run

    def _step(self, run: Run, name: str, stage: Stage | None, after: Batch | BaseException) -> None:
        """Take note of what is not as it was."""
        run.returned = after
        run.current = list(after) if isinstance(after, list | tuple) else []
        if run.kept:
            self._count(run, 0, nbytes(run.current))
        dropped = after.dropped if isinstance(after, Outcome) else None
        error = after if isinstance(after, BaseException) else None
        run.steps.append(Step(name, stage, run.current, dropped, error))

    def _count(self, run: Run, packets: int, size: int) -> None:
        run.size += size
        self._packets += packets
        self._bytes += size
        while (self._packets > self._limit or self._bytes > self._max_bytes) and len(self._runs) > 1:
            oldest = self._runs.popleft()
            oldest.kept = False
            self._packets -= len(oldest.before)
            self._bytes -= oldest.size

    def _new_file(self) -> str:
        name = time.strftime(self._file, time.gmtime())
        stem, suffix = os.path.splitext(name)
        for number in range(2, 1000):
            with contextlib.suppress(FileExistsError):
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                return name
            name = f"{stem}-{number}{suffix}"
        raise FileExistsError(f"flight recorder: {name} and all names like it are taken")
