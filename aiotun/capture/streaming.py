"""Looking at packets while they pass: a fifo for Wireshark, or a program that is started for it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import stat
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from typing import IO

from .pcapng import LINGER, LIVE_LIMIT, SNAPLEN, PcapngWriter
from .pipe import PipeSink

__all__ = ["LiveProcess", "live", "to_process"]

INTERVAL = 0.1
"""Seconds between looks for a reader of a fifo: its coming and going are no events that a loop could wait for."""
FLUSH_AFTER = 0.1
"""Seconds that a packet waits for others, at most, before the reader gets it."""


@contextlib.asynccontextmanager
async def live(
    path: str | os.PathLike[str], *, snaplen: int = SNAPLEN, limit: int = LIVE_LIMIT, comment: str = ""
) -> AsyncIterator[PcapngWriter]:
    """
    Offer a live capture at a fifo, for as long as the block lasts: ``wireshark -k -i /tmp/vpn.fifo``.

    Readers may come and go, one at a time. Each gets a capture from its beginning, of the packets that pass from then
    on; while there is none, nothing is recorded. Packets never wait for a reader: those it is too slow for are
    dropped and counted. At the end the reader gets what was recorded, then the end of the file.

    Args:
        path: Where the fifo is made, for its owner alone, and deleted at the end; one that is there is used and left.
        snaplen: Bytes kept of a packet, at most.
        limit: Bytes that may wait for a slow reader.
        comment: What the capture is, in its header.

    Raises:
        FileExistsError: If there is something else than a fifo.
    """
    made = _make_fifo(path)
    try:
        async with PcapngWriter(None, snaplen=snaplen, comment=comment, flush_after=FLUSH_AFTER) as writer:
            serving = asyncio.create_task(_serve(path, writer, limit))
            try:
                yield writer
            finally:
                serving.cancel()
                await asyncio.wait([serving])
    finally:
        if made:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


class LiveProcess(PcapngWriter):
    """A capture that a program reads along; made by to_process()."""

    process: Process
    """The program."""


@contextlib.asynccontextmanager
async def to_process(
    command: Sequence[str],
    *,
    snaplen: int = SNAPLEN,
    limit: int = LIVE_LIMIT,
    comment: str = "",
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> AsyncIterator[LiveProcess]:
    """
    Start a program that reads a live capture from its standard input: ``["wireshark", "-k", "-i", "-"]``.

    Packets never wait for it: those it is too slow for are dropped and counted. If it ends, the block goes on, and
    nothing is recorded any more. At the end of the block, also by an exception, it gets the rest and the end of the
    file, and is waited for: Wireshark until its window is closed. A cancel terminates it.

    Args:
        command: The program and its arguments.
        snaplen: Bytes kept of a packet, at most.
        limit: Bytes that may wait for it.
        comment: What the capture is, in its header.
        stdout: Its standard output, as for subprocess.
        stderr: Its standard error.

    Raises:
        FileNotFoundError: If the program is not there.
    """
    reading, writing = os.pipe()
    try:
        process = await _start(command, reading, stdout, stderr)
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    try:
        try:
            async with LiveProcess(None, snaplen=snaplen, comment=comment, flush_after=FLUSH_AFTER) as writer:
                writer.process = process
                writer._begin(PipeSink(writing, limit, owned=True))
                yield writer
        except Exception:  # it is then that somebody wants to look
            await process.wait()
            raise
        await process.wait()
    finally:
        if process.returncode is None:
            await _terminate(process)


async def _start(
    command: Sequence[str], stdin: int, stdout: int | IO[bytes] | None, stderr: int | IO[bytes] | None
) -> Process:
    try:
        return await asyncio.create_subprocess_exec(*command, stdin=stdin, stdout=stdout, stderr=stderr)
    except FileNotFoundError as error:
        message = f"{command[0]}: no such program; install it, or give its whole path"
        raise FileNotFoundError(errno.ENOENT, message) from error


async def _terminate(process: Process) -> None:
    """End a program that nobody waits for any more."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(LINGER):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _serve(path: str | os.PathLike[str], writer: PcapngWriter, limit: int) -> None:
    """Give each reader of the fifo a capture of its own."""
    while True:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # ENXIO: nobody reads; ENOENT: the fifo was taken away, and may come back
            await asyncio.sleep(INTERVAL)
            continue
        sink = PipeSink(fd, limit, owned=True)
        writer._begin(sink)
        while not (sink.ended or _hung_up(fd)):
            await asyncio.sleep(INTERVAL)
        writer._outlet.drop()


def _hung_up(fd: int) -> bool:
    """Return whether the reader of a pipe has gone, which a write would tell only with the next packet."""
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


def _make_fifo(path: str | os.PathLike[str]) -> bool:
    """Return whether a fifo was made, and not there before."""
    try:
        os.mkfifo(path, 0o600)
        return True
    except FileExistsError:
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            message = f"{os.fspath(path)} is no fifo; name another path, or delete it"
            raise FileExistsError(errno.EEXIST, message) from None
        return False
