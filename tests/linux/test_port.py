"""The kernel port, with the system calls' answers injected."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiotun import DeviceDown, DeviceError, DeviceGone, QueueFull, UnsupportedFamily
from aiotun.linux import KernelPort
from aiotun.linux.port import READ_SIZE
from aiotun.linux.tunopen import open_device
from aiotun.linux.worker import in_thread

pytestmark = pytest.mark.kernel

PACKET = b"\x45" + bytes(39)


def scripted(*answers: Any) -> Callable[..., Any]:
    """Return a system call that gives these answers one by one; an exception is raised."""
    left = list(answers)

    def call(*_: object) -> Any:
        answer = left.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    return call


def refusal(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@asynccontextmanager
async def port(**calls: Any) -> AsyncIterator[KernelPort]:
    """Open a real tun whose system calls are replaced."""
    opened = KernelPort(await in_thread(lambda: open_device("tun", "port%d")), **calls)
    try:
        yield opened
    finally:
        await opened.aclose()


async def test_a_batch_ends_where_the_device_is_empty() -> None:
    """EAGAIN after some packets returns them."""
    async with port(read=scripted(b"one", b"two", BlockingIOError())) as opened:
        assert opened.read_many(64) == [b"one", b"two"]


async def test_a_batch_ends_at_the_limit() -> None:
    """No more reads are made than packets were asked for."""
    async with port(read=scripted(b"one", b"two")) as opened:
        assert opened.read_many(2) == [b"one", b"two"]


async def test_an_empty_device_gives_an_empty_batch() -> None:
    """EAGAIN at once is an empty batch, not an error."""
    async with port(read=scripted(BlockingIOError())) as opened:
        assert opened.read_many(64) == []


async def test_an_error_after_packets_loses_none() -> None:
    """What was read before an error is returned; the error comes at the next call."""
    gone = refusal(errno.EBADFD)
    async with port(read=scripted(b"one", gone, gone)) as opened:
        assert opened.read_many(64) == [b"one"]
        with pytest.raises(DeviceGone):
            opened.read_many(64)


@pytest.mark.parametrize("code", [errno.EBADFD, errno.EBADF, errno.ENODEV, errno.ENXIO])
async def test_terminal_errors_of_read_mean_gone(code: int) -> None:
    """Every errno of a device that is no more is DeviceGone, and keeps its code."""
    async with port(read=scripted(refusal(code))) as opened:
        with pytest.raises(DeviceGone, match="was deleted") as caught:
            opened.read_many(1)
        assert caught.value.errno == code


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.ENOBUFS])
async def test_no_memory_is_not_fatal(code: int) -> None:
    """A kernel without memory for the packet is QueueFull, which the endpoint counts and survives."""
    async with port(read=scripted(refusal(code))) as opened:
        with pytest.raises(QueueFull):
            opened.read_many(1)


async def test_an_unknown_errno_surfaces() -> None:
    """An errno nobody expects is a DeviceError that keeps it."""
    async with port(read=scripted(refusal(errno.EFAULT))) as opened:
        with pytest.raises(DeviceError) as caught:
            opened.read_many(1)
        assert caught.value.errno == errno.EFAULT


async def test_a_full_device_ends_a_write_early() -> None:
    """EAGAIN on write returns how many went before it."""
    async with port(write=scripted(40, 40, BlockingIOError())) as opened:
        assert opened.write_many([PACKET] * 5) == 2


async def test_eio_means_down_and_says_what_was_sent() -> None:
    """EIO is DeviceDown; packets before it were sent."""
    async with port(write=scripted(40, refusal(errno.EIO))) as opened:
        with pytest.raises(DeviceDown, match="is down") as caught:
            opened.write_many([PACKET] * 3)
        assert caught.value.sent == 1


async def test_einval_means_a_foreign_family() -> None:
    """EINVAL on a tun is the version nibble, and the text shows the byte."""
    async with port(write=scripted(refusal(errno.EINVAL))) as opened:
        with pytest.raises(UnsupportedFamily, match="0x90"):
            opened.write_many([b"\x90" + bytes(39)])


async def test_a_partial_write_is_an_error() -> None:
    """A write of a part of a packet, which the kernel never does, is raised and not repeated."""
    async with port(write=scripted(39)) as opened:
        with pytest.raises(DeviceError, match="a part of a packet"):
            opened.write_many([PACKET])


async def test_reads_offer_room_for_the_largest_packet() -> None:
    """A read offers 64 KiB and more: a short buffer would lose the tail without a word."""
    sizes: list[int] = []

    def read(fd: int, size: int) -> bytes:
        sizes.append(size)
        raise BlockingIOError

    async with port(read=read) as opened:
        opened.read_many(1)
    assert sizes == [READ_SIZE]
    assert READ_SIZE >= 65535 + 14 + 8


async def test_no_memory_in_the_middle_keeps_what_was_read() -> None:
    """When Python has no memory for a packet, those before it are returned, and it stays in the device (J3)."""
    answers = iter((b"one", b"two"))

    def read(fd: int, size: int) -> bytes:
        try:
            return next(answers)
        except StopIteration:
            raise MemoryError from None

    async with port(read=read) as opened:
        assert opened.read_many(64) == [b"one", b"two"]
        with pytest.raises(QueueFull, match="no memory"):
            opened.read_many(64)


async def test_lost_packets_are_told_one_by_one() -> None:
    """Packets that were read, and for which there was no memory then, are each told as QueueFull (J3)."""
    async with port() as opened:
        opened._read_batch = lambda fd, limit, size: ([b"one"], errno.ENOMEM, 2)
        assert opened.read_many(64) == [b"one"]
        opened._read_batch = lambda fd, limit, size: ([], errno.ENOMEM, 1)
        for _ in range(3):
            with pytest.raises(QueueFull, match="no memory"):
                opened.read_many(64)
        opened._read_batch = lambda fd, limit, size: ([b"two"], errno.EAGAIN, 0)
        assert opened.read_many(64) == [b"two"]
