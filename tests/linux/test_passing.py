"""Passing descriptors over unix sockets: what arrives, what waits, and that nothing stays open that was not wanted."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import aiotun
from aiotun import DeviceClosed, DeviceError
from aiotun.linux.passing import (
    receive_descriptors,
    receive_tap,
    receive_tun,
    send_descriptors,
    send_endpoint,
)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=[socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET], ids=["stream", "dgram", "seq"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Two connected unix sockets, which block."""
    near, far = socket.socketpair(socket.AF_UNIX, request.param)
    with near, far:
        yield near, far


@pytest.fixture
def stream() -> Iterator[Pair]:
    """Two connected unix sockets, a stream."""
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe, to have descriptors that can be told apart."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


async def started(task: asyncio.Task[Any]) -> None:
    """Let a task go as far as it can."""
    for _ in range(4):
        await asyncio.sleep(0)
    assert not task.done()


async def test_descriptors_arrive(pair: Pair, pipe: tuple[int, int]) -> None:
    """A message arrives with its descriptors in order, duplicates of those that were sent."""
    await send_descriptors(pair[0], pipe, b"hello")
    message, fds = await receive_descriptors(pair[1], 100, 2)
    try:
        assert message == b"hello"
        assert [os.path.samestat(os.fstat(fd), os.fstat(own)) for fd, own in zip(fds, pipe, strict=True)] == [True] * 2
        os.write(fds[1], b"through")
        assert os.read(pipe[0], 100) == b"through"
    finally:
        close(fds)


async def test_no_program_inherits_them(stream: Pair, pipe: tuple[int, int]) -> None:
    """What was received is closed in a program that is run."""
    await send_descriptors(stream[0], pipe, b"!")
    _, fds = await receive_descriptors(stream[1], 1, 2)
    program = "import os; print(os.listdir('/proc/self/fd'))"
    try:
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, close_fds=False)
        assert not {str(fd) for fd in fds} & set(eval(told.stdout))
    finally:
        close(fds)


async def test_a_message_without_descriptors(pair: Pair) -> None:
    """A message may have none."""
    await send_descriptors(pair[0], [], b"bare")
    assert await receive_descriptors(pair[1], 100, 1) == (b"bare", [])


async def test_the_end(stream: Pair) -> None:
    """When the other end is closed there is no message and no descriptor."""
    stream[0].close()
    assert await receive_descriptors(stream[1], 100, 1) == (b"", [])


@pytest.mark.parametrize("timeout", [None, 0, 30], ids=["blocking", "non-blocking", "with a timeout"])
async def test_receiving_waits_without_blocking(pair: Pair, pipe: tuple[int, int], timeout: float | None) -> None:
    """Receiving waits for a message in the loop, whatever the socket's own way to wait, which stays as it is."""
    pair[1].settimeout(timeout)
    task = asyncio.create_task(receive_descriptors(pair[1], 100, 1))
    await started(task)
    await send_descriptors(pair[0], pipe[:1], b"late")
    message, fds = await task
    close(fds)
    assert (message, pair[1].gettimeout()) == (b"late", timeout)


async def test_a_cancelled_receiver_leaves_the_message(stream: Pair, pipe: tuple[int, int]) -> None:
    """A receiver cancelled as the message arrives leaves it to the next one, or has not lost its descriptor."""
    task = asyncio.create_task(receive_descriptors(stream[1], 1, 1))
    await started(task)
    await send_descriptors(stream[0], pipe[:1], b"!")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    message, fds = await receive_descriptors(stream[1], 1, 1)
    close(fds)
    assert (message, len(fds)) == (b"!", 1)


async def test_sending_waits_for_room(pair: Pair, pipe: tuple[int, int]) -> None:
    """Sending waits while the socket is full; cancelled, it has sent nothing, and goes on later."""
    near, far = pair
    filled = 0
    near.setblocking(False)
    while True:
        try:
            filled += near.send(b"x" * 1000)
        except BlockingIOError:
            break
    task = asyncio.create_task(send_descriptors(near, pipe[:1], b"!"))
    await started(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    sending = asyncio.create_task(send_descriptors(near, pipe[:1], b"!"))
    content, fds = b"", list[int]()
    while not fds:
        message, fds = await receive_descriptors(far, 1 << 20, 1)
        content += message
        await asyncio.sleep(0)
    close(fds)
    await sending
    assert content == b"x" * filled + b"!"


async def test_the_loop_may_watch_the_socket_already(stream: Pair, pipe: tuple[int, int]) -> None:
    """A socket that the loop watches for somebody else can be received from, and stays watched."""
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    loop.add_reader(stream[1], seen.set)
    try:
        task = asyncio.create_task(receive_descriptors(stream[1], 1, 1))
        await started(task)
        await send_descriptors(stream[0], pipe[:1], b"!")
        _, fds = await task
        close(fds)
        seen.clear()
        stream[0].send(b"more")
        await seen.wait()
    finally:
        loop.remove_reader(stream[1])


async def test_more_descriptors_than_wanted(stream: Pair, pipe: tuple[int, int]) -> None:
    """A message with more descriptors than the limit is refused, and all of them are closed."""
    for count in (2, 3, 100):
        await send_descriptors(stream[0], pipe[:1] * count, b"!")
        with pytest.raises(OSError, match=r"descriptors or more came, 1 may") as caught:
            await receive_descriptors(stream[1], 1, 1)
        assert caught.value.errno == errno.EMSGSIZE


async def test_a_longer_message_than_wanted(pipe: tuple[int, int]) -> None:
    """A message that does not fit is refused, and what came with it is closed."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        await send_descriptors(near, pipe, b"12345")
        with pytest.raises(OSError, match="a message of more than 4 bytes came") as caught:
            await receive_descriptors(far, 4, 2)
    assert caught.value.errno == errno.EMSGSIZE


async def test_no_descriptor_is_free(stream: Pair, pipe: tuple[int, int]) -> None:
    """A process that may open no more is told so, and those that fitted are closed."""
    await send_descriptors(stream[0], pipe[:1] * 10, b"!")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    await asyncio.sleep(0)
    probe = os.dup(pipe[0])
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 5, before[1]))
    try:
        with pytest.raises(OSError, match="raise `ulimit -n`") as caught:
            await receive_descriptors(stream[1], 1, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert caught.value.errno == errno.EMFILE


async def test_credentials_take_no_room(stream: Pair, pipe: tuple[int, int]) -> None:
    """Where the socket asks for credentials as well, the descriptors still arrive."""
    stream[1].setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    await send_descriptors(stream[0], pipe, b"!")
    _, fds = await receive_descriptors(stream[1], 1, 2)
    close(fds)
    assert len(fds) == 2


@pytest.mark.parametrize("receive", [receive_tun, receive_tap])
async def test_no_device_comes(stream: Pair, receive: type, pipe: tuple[int, int]) -> None:
    """A message without a descriptor, or with one of something else, is refused; and so is the end."""
    await send_descriptors(stream[0], [], b"!")
    with pytest.raises(OSError, match="a message without a descriptor came") as caught:
        await receive(stream[1])
    assert caught.value.errno == errno.EBADMSG
    await send_descriptors(stream[0], pipe[:1], b"!")
    with pytest.raises(DeviceError, match="cannot be adopted"):
        await receive(stream[1])
    stream[0].close()
    with pytest.raises(EOFError, match="no device came"):
        await receive(stream[1])


async def test_an_endpoint_in_process_cannot_be_passed(stream: Pair) -> None:
    """What has no device of the kernel behind it is refused, and stays open."""
    async with aiotun.SoftHost() as host, host.open_tun("soft0") as tun:
        with pytest.raises(DeviceError, match="soft0: there is no device of the kernel to be passed"):
            await send_endpoint(stream[0], tun)
        assert not tun.closed


@pytest.mark.kernel
async def test_a_tap_is_passed_whole(stream: Pair) -> None:
    """The endpoint that sent is closed, the one that received has the device, under its name."""
    tap = await aiotun.open_tap("pass0", mtu=1400)
    await send_endpoint(stream[0], tap)
    assert tap.closed
    async with await receive_tap(stream[1], when_down="raise") as received:
        assert (type(received), received.name, received.mtu) == (aiotun.Tap, "pass0", 1400)
    assert "pass0" not in {name for _, name in socket.if_nameindex()}


@pytest.mark.kernel
async def test_a_refused_passing_changes_nothing(stream: Pair) -> None:
    """When the other end is closed, the endpoint is as before."""
    stream[1].close()
    async with aiotun.open_tun("pass0") as tun:
        with pytest.raises(BrokenPipeError):
            await send_endpoint(stream[0], tun)
        assert (tun.closed, tun.name) == (False, "pass0")


@pytest.mark.kernel
async def test_a_closed_endpoint_is_not_passed(stream: Pair) -> None:
    """An endpoint that was closed says so."""
    tun = await aiotun.open_tun("pass0")
    await tun.aclose()
    with pytest.raises(DeviceClosed, match="pass0: the endpoint is closed"):
        await send_endpoint(stream[0], tun)


@pytest.mark.kernel
async def test_the_wrong_kind_is_closed(stream: Pair) -> None:
    """A tap that comes where a tun is expected is refused, and closed, which deletes it."""
    await send_endpoint(stream[0], await aiotun.open_tap("pass0"))
    with pytest.raises(DeviceError, match="pass0: asked for IFF_NO_PI IFF_TUN, but the device is"):
        await receive_tun(stream[1])
    assert "pass0" not in {name for _, name in socket.if_nameindex()}
