"""Looking at packets while they pass."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath

import pytest

from aiotun.capture import live, to_process
from aiotun.pipeline import Path
from capture.tools import IPV4, IPV6, complaints, need, read

TSHARK = ["tshark", "-n", "-l", "-r", "-", "-T", "fields", "-e", "frame.interface_name", "-e", "frame.comment"]


@asynccontextmanager
async def reader(fifo: FilePath, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a program that copies the fifo to its output, to the end or to the number of bytes in *options*."""
    program = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read(int(sys.argv[2])))"
    size = options[0] if options else "-1"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(fifo), size, stdout=subprocess.PIPE)
    try:
        yield child
    finally:
        await child.wait()


async def test_tshark_reads_along(tmp_path: FilePath) -> None:
    """Tshark shows a packet while the capture goes on, complains of nothing, and ends with the block."""
    need("tshark")
    path = Path("tun0 output", [("keep", list)])
    with (tmp_path / "errors").open("w+b") as errors:
        reading, writing = os.pipe()
        async with to_process(TSHARK, stdout=writing, stderr=errors) as capture:
            os.close(writing)
            path.append(capture.interface("tun0").stage("out"), name="capture")
            assert path([IPV4, IPV6]) == [IPV4, IPV6]
            assert await asyncio.to_thread(os.read, reading, 100) != b""
            capture.interface("late0").write(IPV4, comments="the last")
        assert capture.process.returncode == 0
        with open(reading, "rb") as shown:
            assert shown.read().endswith(b"late0\tthe last\n")
        errors.seek(0)
        assert complaints(errors.read().decode()) == []
    assert path([IPV4]) == [IPV4]


async def test_a_program_that_ends(tmp_path: FilePath) -> None:
    """A program that reads no more ends the recording; packets go on, and the block ends as ever."""
    async with to_process([sys.executable, "-c", ""]) as capture:
        stage = capture.interface("tun0").stage()
        await capture.process.wait()
        stage([IPV4])
        capture.flush()
        assert not capture.recording
        assert stage([IPV4]) == [IPV4]
    assert capture.process.returncode == 0


async def test_a_program_that_is_not_there(tmp_path: FilePath) -> None:
    """A program that is not installed is told by its name."""
    with pytest.raises(FileNotFoundError, match="/none-such: no such program; install it, or give its whole path$"):
        async with to_process([str(tmp_path / "none-such")]):
            pass


async def test_an_exception_leaves_the_program_to_the_user(tmp_path: FilePath) -> None:
    """An exception in the block is raised once the program has ended by itself, with everything it was to get."""
    with (tmp_path / "copy").open("wb") as copy, pytest.raises(ZeroDivisionError):
        program = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
        async with to_process([sys.executable, "-c", program], stdout=copy) as capture:
            capture.interface("tun0").write(IPV4)
            1 / 0  # noqa: B018
    assert capture.process.returncode == 0
    assert [one.packet for one in read(tmp_path / "copy")] == [IPV4]


async def test_a_cancel_terminates_the_program() -> None:
    """A cancel while the program is waited for, or before, ends it."""
    captures = []

    async def capture() -> None:
        async with to_process([sys.executable, "-c", "import time; time.sleep(1000)"]) as capture:
            captures.append(capture)
            started.set()

    started = asyncio.Event()
    task = asyncio.create_task(capture())
    await started.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert captures[0].process.returncode == -15


async def test_readers_come_and_go(tmp_path: FilePath) -> None:
    """Each reader of a fifo gets a capture from its beginning; the packets in between are nobody's."""
    fifo = tmp_path / "vpn.fifo"
    async with live(fifo) as capture:
        assert stat.S_IMODE(fifo.stat().st_mode) == 0o600
        stage = capture.interface("tun0").stage("out")
        stage([IPV6])
        for number in range(2):
            async with reader(fifo, "600") as child:
                while not capture.recording:
                    await asyncio.sleep(0.01)
                stage([bytes([number]) * 60] * 10)
                found, _ = await child.communicate()
            packets = [one.packet for one in read(found)]
            assert packets
            assert packets == [bytes([number]) * 60] * len(packets)
            while capture.recording:
                await asyncio.sleep(0.01)
        async with reader(fifo) as child:
            while not capture.recording:
                await asyncio.sleep(0.01)
            stage([IPV4])
            await capture.aclose()
            found, _ = await child.communicate()
    assert [(one.packet, one.dropped) for one in read(found)] == [(IPV4, 0)]
    assert not fifo.exists()


async def test_a_fifo_of_the_user(tmp_path: FilePath) -> None:
    """A fifo that was there stays there."""
    fifo = tmp_path / "vpn.fifo"
    os.mkfifo(fifo)
    async with live(fifo):
        pass
    assert fifo.exists()


async def test_no_fifo(tmp_path: FilePath) -> None:
    """A file that is no fifo is left alone."""
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="file is no fifo; name another path, or delete it$"):
        async with live(tmp_path / "file"):
            pass
    assert (tmp_path / "file").read_bytes() == b"mine"
