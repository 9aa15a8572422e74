"""A pipe that a program reads a live capture from."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Iterator

import pytest

from aiotun.capture import PcapngWriter
from aiotun.testing.expect import turns
from capture.tools import IPV4, read

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe as its two descriptors; the test closes the writing one."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def everything(reading: int) -> bytes:
    """Return what is left in the pipe, to its end."""
    with io.FileIO(reading, closefd=False) as file:
        return file.readall()


async def taken(reading: int) -> bytes:
    """Read the pipe to its end, in a thread."""
    return await asyncio.to_thread(everything, reading)


def test_a_capture_through_a_pipe(pipe: Pipe) -> None:
    """What fits into the pipe is written at once, and the descriptor is left as it was."""
    reading, writing = pipe
    with PcapngWriter(writing) as writer:
        assert not os.get_blocking(writing)
        writer.interface("tun0").write_many([IPV4] * 3)
    assert os.get_blocking(writing)
    os.close(writing)
    assert [one.packet for one in read(everything(reading))] == [IPV4] * 3


async def test_a_slow_reader_delays_nobody(pipe: Pipe) -> None:
    """What a reader has no room for waits up to the limit; more is dropped, and counted, in the file too."""
    reading, writing = pipe
    async with PcapngWriter(writing, limit=100_000, buffer=1) as writer:
        interface = writer.interface("tun0")
        for number in range(500):
            interface.write(number.to_bytes(1000, "big"))
        counted = interface.statistics()
        assert counted.received == 500 == counted.written + counted.dropped
        assert 0 < counted.dropped < 400
        found = asyncio.create_task(taken(reading))
        while not interface._outlet.taking:
            await turns(1)
        interface.write(number.to_bytes(1000, "big"))
        await writer.aclose()
        os.close(writing)
        packets = read(await found)
    assert [int.from_bytes(one.packet, "big") for one in packets] == [*range(counted.written), 499]
    assert [one.dropped for one in packets] == [0] * counted.written + [counted.dropped]


async def test_memory_is_bounded(pipe: Pipe) -> None:
    """However much passes, no more than the limit and a buffer wait for a reader that does not read."""
    _, writing = pipe
    writer = PcapngWriter(writing, limit=50_000, buffer=1000)
    interface = writer.interface("tun0")
    for _ in range(1000):
        interface.write_many([bytes(1000)] * 10)
    sink = writer._outlet.sink
    assert sink is not None
    assert sink.full
    assert sink._bytes < 50_000 + 11_000  # type: ignore[attr-defined]
    writer._outlet.drop()
    writer.close()
    os.close(writing)


async def test_a_reader_that_goes(pipe: Pipe) -> None:
    """A reader that goes away ends the recording, is no error, and the packets go on."""
    reading, writing = pipe
    async with PcapngWriter(writing, buffer=1) as writer:
        stage = writer.interface("tun0").stage()
        with open(os.devnull, "rb") as null:
            os.dup2(null.fileno(), reading, inheritable=False)  # and the reading end is gone
        assert [stage([IPV4]) for _ in range(3)] == [[IPV4]] * 3
        assert not writer.recording
        assert writer.error is None
        assert writer.interfaces[0].statistics().dropped == 3
    os.close(writing)


async def test_closing_waits_for_the_reader(pipe: Pipe) -> None:
    """aclose() returns when the reader has taken everything."""
    reading, writing = pipe
    writer = PcapngWriter(writing)
    writer.interface("tun0").write_many([bytes(1000)] * 500)
    found = asyncio.create_task(taken(reading))
    await writer.aclose()
    os.close(writing)
    assert len(read(await found)) == 500


async def test_a_cancelled_close(pipe: Pipe) -> None:
    """A cancel of aclose() closes at once, and leaves the descriptor to its owner."""
    _, writing = pipe
    writer = PcapngWriter(writing)
    writer.interface("tun0").write_many([bytes(1000)] * 500)
    closing = asyncio.create_task(writer.aclose())
    await turns()
    assert not closing.done()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not writer.recording
    assert os.get_blocking(writing)
    os.close(writing)


def test_closing_without_a_loop(pipe: Pipe) -> None:
    """Without an event loop what waits is written as the reader makes room, and close() waits for the rest."""
    reading, writing = pipe
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(everything(reading)))
    with PcapngWriter(writing, buffer=1000) as writer:
        for number in range(500):
            writer.interface(f"{number}").write(number.to_bytes(1000, "big"))
        thread.start()
    os.close(writing)
    thread.join()
    assert [int.from_bytes(one.packet, "big") for one in read(found[0])] == list(range(500))


def test_a_reader_that_never_reads(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that does not read holds close() up no longer than it says."""
    monkeypatch.setattr("aiotun.capture.pcapng.LINGER", 0)
    _, writing = pipe
    with PcapngWriter(writing) as writer:
        writer.interface("tun0").write_many([bytes(1000)] * 500)
    assert not writer.recording
    os.close(writing)


async def test_a_reader_that_never_reads_in_a_loop(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is with aclose()."""
    monkeypatch.setattr("aiotun.capture.pcapng.LINGER", 0)
    _, writing = pipe
    async with PcapngWriter(writing) as writer:
        writer.interface("tun0").write_many([bytes(1000)] * 500)
    assert not writer.recording
    os.close(writing)


async def test_a_forked_child_leaves_the_pipe(pipe: Pipe) -> None:
    """A forked child writes nothing into the pipe, also of what waits for room."""
    reading, writing = pipe
    async with PcapngWriter(writing) as writer:
        writer.interface("tun0").write_many([bytes(1000)] * 500)
        child = os.fork()
        if not child:
            try:
                writer.interfaces[0].write_many([b"child"] * 500)
                writer.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        found = asyncio.create_task(taken(reading))
    os.close(writing)
    assert [one.packet for one in read(await found)] == [bytes(1000)] * 500
