"""Rows A of the fault catalogue: what read() and write() of a device may answer."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiotun
from aiotun.endpoint import FdReadiness, Tun, turn
from aiotun.endpoint.moderation import ModeratedReadiness
from aiotun.linux import KernelPort, constants
from aiotun.linux.tunopen import open_device
from aiotun.linux.worker import in_thread
from aiotun.testing.expect import parked, turns

from .scene import ADDRESS, PACKET, ip, iterate, send_from_the_stack

pytestmark = pytest.mark.kernel


class Scripted:
    """A system call that answers from a list, an exception by raising it, and then as *otherwise* does."""

    def __init__(self, answers: list[Any], otherwise: Callable[..., Any]) -> None:
        self.answers = answers
        self.otherwise = otherwise
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        if not self.answers:
            return self.otherwise(*arguments)
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


def refusal(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def empty(*_: object) -> bytes:
    raise refusal(errno.EAGAIN)


class AlwaysReady(ModeratedReadiness):
    """The readiness of a device that says it is ready, whatever read() and write() say."""

    __slots__ = ()

    async def wait(self) -> None:
        await turn()


@asynccontextmanager
async def injected(**calls: Any) -> AsyncIterator[Tun]:
    """Open a tun whose system calls are replaced."""
    port = KernelPort(await in_thread(lambda: open_device("tun", "inject%d")), **calls)
    port.readable = AlwaysReady("receiving", -1)
    port.writable = AlwaysReady("sending", -1)
    async with Tun(port) as tun:
        yield tun


async def test_A2_of_two_readers_one_has_the_packet_and_the_other_goes_on() -> None:
    """Two descriptors of one queue wake both for a packet that one gets: for the other nothing happened."""
    async with aiotun.open_tun("twice0", address=ADDRESS) as first:
        async with Tun.from_fd(os.dup(first.fileno())) as second:
            tasks = [await parked(first.recv()), await parked(second.recv())]
            for number in range(2):
                send_from_the_stack(bytes([number]))
                done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                await turns()
                assert [task.result()[-1] for task in done] == [number]
                tasks = list(waiting)
    assert tasks == []


async def test_A3_a_signal_storm_loses_no_packet() -> None:
    """While a signal comes every 100 us, 2,000 packets are received, each once and in order."""
    caught = 0

    def count(*_: object) -> None:
        nonlocal caught
        caught += 1

    previous = signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        async with aiotun.open_tun("storm0", address=ADDRESS) as tun:
            received: list[int] = []
            for start in range(0, 2000, 100):
                send_from_the_stack(*(number.to_bytes(2, "big") for number in range(start, start + 100)))
                while len(received) < start + 100:
                    received += [int.from_bytes(one[-2:], "big") for one in await tun.recv_many()]
            while caught < 20:
                await turn()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert received == list(range(2000))


async def test_A4_the_largest_packet_arrives_whole() -> None:
    """With the mtu raised under the endpoint to the largest there is, a packet of 65535 bytes loses nothing."""
    async with aiotun.open_tun("large0", address=ADDRESS) as tun:
        ip("link", "set", "large0", "mtu", "65535")
        payload = os.urandom(65535 - 28)
        send_from_the_stack(payload)
        received = await tun.recv()
        assert (len(received), received[28:] == payload) == (65535, True)


async def test_A5_an_empty_read_is_no_end() -> None:
    """A read of 0 bytes is an empty packet, not the end: iteration goes on with the next."""
    gone = refusal(errno.EBADFD)
    async with injected(read=Scripted([b"", b"next", gone, gone], empty)) as tun:
        received = []
        with pytest.raises(aiotun.DeviceGone):
            async for one in tun:
                received.append(one)
    assert received == [b"", b"next"]


@pytest.mark.parametrize(
    ("garbage", "error", "asked"),
    [
        (b"", aiotun.PacketError, False),
        (b"\x45", aiotun.PacketError, False),
        (b"\x90" * 20, aiotun.UnsupportedFamily, False),
        (b"\x90" * 64, aiotun.UnsupportedFamily, True),  # the kernel looks at the version of what is long enough
    ],
)
async def test_A8_garbage_is_refused_with_its_reason(garbage: bytes, error: type[Exception], asked: bool) -> None:
    """What is no IP packet is refused with a sentence; before the system call, unless the kernel says it itself."""
    write = Scripted([], os.write)
    async with injected(write=write) as tun:
        with pytest.raises(error, match="inject.: packet "):
            await tun.send(garbage)
    assert bool(write.calls) == asked


@pytest.mark.parametrize("size", [1501, 4 << 20])
async def test_A9_a_packet_over_the_mtu_is_refused_before_the_system_call(size: int) -> None:
    """The kernel takes a packet of any size, 4 MiB too, and loses it: here both numbers are in the refusal."""
    write = Scripted([], os.write)
    async with injected(write=write) as tun:
        with pytest.raises(aiotun.PacketTooBig, match=f"packet is {size} bytes, mtu is 1500"):
            await tun.send(PACKET.ljust(size, b"\0"))
    assert write.calls == []


async def test_A10_a_batch_of_any_length_is_sent() -> None:
    """3,000 packets in one call, more than IOV_MAX, are written, each by itself."""
    async with aiotun.open_tun("many0", address=ADDRESS) as tun:
        await tun.send_many([PACKET] * 3000)
        interface = tun.statistics().interface
        assert interface is not None
        assert interface.ipackets == 3000


async def test_A11_no_room_is_waited_for_and_each_packet_written_once() -> None:
    """After EAGAIN the same packet is written once more, before those behind it, and none twice."""
    batch = [PACKET[:-1] + bytes([number]) for number in range(6)]
    none = refusal(errno.EAGAIN)
    write = Scripted([len(PACKET), none, none, len(PACKET), len(PACKET), none], lambda fd, one: len(one))
    async with injected(write=write) as tun:
        await tun.send_many(batch)
    offered = [one[-1] for _, one in write.calls]
    assert offered == [0, 1, 1, 1, 2, 3, 3, 4, 5]


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.ENOBUFS])
async def test_A12_no_memory_to_send_is_counted_and_not_fatal(code: int) -> None:
    """A packet the kernel had no memory for is QueueFull; with drop=True it is counted, and the next one is sent."""
    write = Scripted([refusal(code), refusal(code)], lambda fd, one: len(one))
    async with injected(write=write) as tun:
        with pytest.raises(aiotun.QueueFull):
            await tun.send(PACKET)
        await tun.send_many([PACKET] * 3, drop=True)
        assert (tun.statistics().sent_packets, tun.statistics().dropped) == (2, {"queue_full": 1})


async def test_A13_an_unknown_errno_surfaces_once_and_does_not_spin() -> None:
    """An errno nobody knows ends the iteration with it; nothing is read behind the program's back, and it can go on."""
    read = Scripted([refusal(errno.EFAULT)], empty)
    async with injected(read=read) as tun:
        with pytest.raises(aiotun.DeviceError, match="cannot receive: Bad address") as caught:
            await iterate(tun)
        calls = len(read.calls)
        await turns(50)
        assert (caught.value.errno, len(read.calls) - calls) == (errno.EFAULT, 0)
        read.answers = [b"after"]
        assert await tun.recv() == b"after"


async def test_A14_a_hangup_without_a_packet_wakes_the_reader_to_look() -> None:
    """EPOLLHUP alone wakes who waits to read: only a read tells what it means."""
    reading, writing = os.pipe()
    readable = FdReadiness("receiving", reading)
    task = await parked(readable.wait())
    os.close(writing)
    async with asyncio.timeout(10):
        await task
    readable.disarm()
    os.close(reading)


async def test_A15_a_device_with_packet_information_is_not_adopted() -> None:
    """A descriptor that puts 4 bytes in front of every packet is refused, with what it is; it stays the caller's."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, constants.TUNSETIFF, constants.IFREQ.pack(b"info0", constants.IFF_TUN))
    with pytest.raises(aiotun.DeviceError, match="info0: .*IFF_NO_PI"):
        Tun.from_fd(fd)
    os.close(fd)


@pytest.mark.parametrize("size", [0, 13])
async def test_A16_a_frame_without_a_header_is_refused(size: int) -> None:
    """A frame shorter than its 14 bytes of header is refused before the call; one of 14 is sent."""
    async with aiotun.open_tap("short0", ipv6_linklocal=False) as tap:
        with pytest.raises(aiotun.PacketError, match=f"short0: frame is {size} bytes"):
            await tap.send(bytes(size))
        await tap.send(bytes(14))
        assert tap.statistics().sent_packets == 1


READ_ERRORS = [
    (errno.ENOMEM, None),
    (errno.ENOBUFS, None),
    (errno.EINTR, aiotun.DeviceError),
    (errno.EIO, aiotun.DeviceDown),
    (errno.EFAULT, aiotun.DeviceError),
    (errno.EINVAL, aiotun.DeviceError),
]


@pytest.mark.parametrize(("code", "raised"), READ_ERRORS)
@pytest.mark.parametrize("index", range(5))
async def test_A18_an_error_at_any_read_loses_no_packet(index: int, code: int, raised: type[Exception] | None) -> None:
    """An errno injected at any call of read() comes after what was read before it, and before the rest."""
    queued: list[Any] = [bytes([number]) for number in range(5)]
    answers = [*queued[:index], refusal(code), refusal(code), *queued[index:]]
    if index:  # an error behind packets is left to come again
        answers.insert(index, refusal(code))
    received: list[bytes] = []
    errors: list[type[Exception]] = []
    async with injected(read=Scripted(answers, empty)) as tun:
        while len(received) < 5:
            try:
                received += await tun.recv_many()
            except aiotun.DeviceError as error:
                errors.append(type(error))
    assert received == queued
    assert errors == ([raised] * 2 if raised else [])


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL, errno.ENOBUFS, errno.EFAULT, errno.EPERM])
@pytest.mark.parametrize("index", range(5))
async def test_A18_an_error_at_any_write_says_what_was_sent(index: int, code: int) -> None:
    """An errno injected at any call of write() is raised with the number of packets that went before it."""
    batch = [PACKET] * 5
    write = Scripted([len(PACKET)] * index + [refusal(code)], lambda fd, one: len(one))
    async with injected(write=write) as tun:
        with pytest.raises(aiotun.DeviceError) as caught:
            await tun.send_many(batch)
        assert (caught.value.sent, tun.statistics().sent_packets) == (index, index)
        await tun.send_many(batch[index:])
        assert tun.statistics().sent_packets == 5
