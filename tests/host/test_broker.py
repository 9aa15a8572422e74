"""The broker's client: what it asks, what it makes of the answers, and what it leaves."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import aiotun
from aiotun import DeviceClosed, DeviceError
from aiotun.host import broker
from aiotun.host.broker import BrokerHost
from aiotun.host.broker_messages import LIMIT, encode_answer, encode_error
from aiotun.linux.passing import receive_descriptors, send_descriptors


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where a broker may listen."""
    return str(tmp_path / "broker")


@asynccontextmanager
async def answering(path: str, answer: bytes | None, *fds: int) -> AsyncIterator[list[dict[str, Any]]]:
    """Answer one request, with descriptors; None hangs up. Yields where the request goes."""
    asked: list[dict[str, Any]] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    listener.setblocking(False)

    async def serve() -> None:
        sock, _ = await asyncio.get_running_loop().sock_accept(listener)
        with sock:
            message, _ = await receive_descriptors(sock, LIMIT, 0)
            asked.append(json.loads(message))
            if answer is not None:
                await send_descriptors(sock, fds, answer)
                await receive_descriptors(sock, 1, 0)

    task = asyncio.create_task(serve())
    with listener:
        async with asyncio.timeout(20):
            yield asked
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_asked(path: str) -> None:
    """Every option of open_tun() that is given is in the request, and nothing else."""
    async with answering(path, encode_error(PermissionError(1, "no"))) as asked, BrokerHost(path) as host:
        with pytest.raises(PermissionError):
            await host.open_tun("vpn0", address=["10.8.0.2/24"], mtu=1400, up=False, netns="blue", queues=2)
    options = {"address": ["10.8.0.2/24"], "mtu": 1400, "up": False}
    assert asked == [{"version": 1, "open": "tun", "name": "vpn0", "options": options, "queues": 2, "netns": "blue"}]


async def test_a_tap_is_asked(path: str) -> None:
    """open_tap() asks for a tap, by its template."""
    async with answering(path, encode_error(PermissionError(1, "no"))) as asked, BrokerHost(path) as host:
        with pytest.raises(PermissionError):
            await host.open_tap(mac=b"\x02\0\0\0\0\1")
    options = {"mac": "02:00:00:00:00:01"}
    assert asked == [{"version": 1, "open": "tap", "name": "tap%d", "options": options}]


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("a/b", {}, ValueError),
        ("vpn0", {"address": "10.8.0.2"}, ValueError),
        ("vpn0", {"mtu": "big"}, TypeError),
        ("vpn0", {"queues": 0}, ValueError),
        ("vpn0", {"sysctl": {"kernel.x": 1}}, ValueError),
    ],
)
async def test_what_cannot_be_is_not_asked(path: str, name: str, options: Any, error: type[Exception]) -> None:
    """A name or a value that cannot be is refused here: no broker is needed to say so."""
    async with BrokerHost(path) as host:
        with pytest.raises(error):
            await host.open_tun(name, **options)


async def test_an_unknown_option(path: str) -> None:
    """A name that is no option is refused at once."""
    with pytest.raises(TypeError, match=r"open_tun\(\) has no option 'mac'"):
        BrokerHost(path).open_tun("vpn0", mac="02:00:00:00:00:01")  # type: ignore[call-overload]


async def test_there_is_no_broker(path: str) -> None:
    """Without a socket the error says how to start a broker; so it does when nobody listens any more."""
    async with BrokerHost(path) as host:
        with pytest.raises(DeviceError, match=rf"^broker {path}: there is no such socket; start `aiotun broker`") as no:
            await host.open_tun()
        assert no.value.errno == errno.ENOENT
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.bind(path)
        with pytest.raises(DeviceError, match=rf"^broker {path}: nobody listens there any more"):
            await host.open_tun()


async def test_somebody_else_listens(path: str) -> None:
    """A socket of another type is no broker's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(path)
        sock.listen()
        with pytest.raises(DeviceError, match="something else listens there; give the path of a broker's socket"):
            await BrokerHost(path).open_tun()


def test_who_may_not_connect() -> None:
    """A socket whose mode forbids it is a matter of permission, with the remedy."""
    error = BrokerHost("/run/b")._unreachable(PermissionError(errno.EACCES, "Permission denied"))
    assert type(error) is PermissionError
    assert error.strerror == (
        "broker /run/b: this user may not connect to it; `aiotun broker --mode 0666` lets everybody, "
        "and its policy decides"
    )


async def test_a_broker_that_hangs_up(path: str) -> None:
    """A broker that ends the connection without an answer is named, and where to look."""
    async with answering(path, None), BrokerHost(path) as host:
        with pytest.raises(DeviceError, match=rf"^broker {path}: it hung up; its log says why$"):
            await host.open_tun()


async def test_a_broker_that_does_not_answer(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that says nothing is given up."""
    monkeypatch.setattr(broker, "PATIENCE", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        with pytest.raises(DeviceError, match=f"^broker {path}: Connection timed out; its log may say more$") as late:
            await BrokerHost(path).open_tun()
    assert late.value.errno == errno.ETIMEDOUT


async def test_a_full_backlog_is_waited_for(path: str) -> None:
    """When so many wait that there is no room for one more, opening waits for room."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(0)
        listener.setblocking(False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as before:
            before.connect(path)
            task = asyncio.create_task(_awaited(BrokerHost(path).open_tun()))
            await asyncio.sleep(0)
            assert not task.done()
            listener.accept()[0].close()
            second, _ = await asyncio.get_running_loop().sock_accept(listener)
            with second:
                await receive_descriptors(second, LIMIT, 0)
        with pytest.raises(DeviceError, match="it hung up"):
            await task


async def _awaited(opening: aiotun.Opening[aiotun.Tun]) -> aiotun.Tun:
    return await opening


@pytest.mark.parametrize("answer", [encode_answer("vpn0"), encode_error(PermissionError(1, "no"))])
async def test_a_descriptor_that_is_no_device(path: str, answer: bytes) -> None:
    """What comes with an answer and cannot be used is closed."""
    hear, tell = os.pipe()
    try:
        async with answering(path, answer, tell), BrokerHost(path) as host:
            with pytest.raises(OSError):
                await host.open_tun("vpn0")
        os.close(tell)
        assert os.read(hear, 1) == b""
    finally:
        os.close(hear)


async def test_a_cancelled_opening(path: str) -> None:
    """Cancelled while it waits for the answer, opening hangs up and leaves nothing."""
    async with answering(path, encode_answer("vpn0")) as asked:
        task = asyncio.create_task(_awaited(BrokerHost(path).open_tun()))
        while not asked:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, DeviceError)):
            await task


async def test_a_closed_host_opens_nothing(path: str) -> None:
    """After aclose(), which may be called again, nothing is opened."""
    host = BrokerHost(path)
    await host.aclose()
    await host.aclose()
    with pytest.raises(DeviceClosed, match="^broker host: it is closed$"):
        await host.open_tun()
    assert repr(host) == f"<BrokerHost {path} closed>"


@pytest.mark.kernel
async def test_closing_the_host_closes_its_endpoints(path: str) -> None:
    """An endpoint that is open when its host is closed is closed by it, and the broker told."""
    fd = (await aiotun.open_tun("vpn0")).detach_fd()
    async with answering(path, encode_answer("vpn0"), fd), BrokerHost(path) as host:
        tun = await host.open_tun("vpn0")
        os.close(fd)
        assert tun.name == "vpn0"
        await host.aclose()
        assert tun.closed
    assert "vpn0" not in {name for _, name in socket.if_nameindex()}


@pytest.mark.kernel
async def test_closed_while_it_opens(path: str) -> None:
    """A host that is closed while it opens a device closes that too."""
    fd = (await aiotun.open_tun("vpn0")).detach_fd()
    async with answering(path, encode_answer("vpn0"), fd) as asked:
        host = BrokerHost(path)
        task = asyncio.create_task(_awaited(host.open_tun("vpn0")))
        while not asked:
            await asyncio.sleep(0)
        await host.aclose()
        with pytest.raises(DeviceClosed):
            await task
        os.close(fd)
    assert "vpn0" not in {name for _, name in socket.if_nameindex()}


async def test_a_cancelled_wait_for_room(path: str) -> None:
    """Cancelled while there is no room for its connection, opening leaves nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as before:
            before.connect(path)
            task = asyncio.create_task(_awaited(BrokerHost(path).open_tun()))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.mark.kernel
async def test_a_detached_descriptor_keeps_the_connection(path: str) -> None:
    """The broker hears nothing when a descriptor is detached, and of the end when the host is closed."""
    fd = (await aiotun.open_tun("vpn0")).detach_fd()
    async with answering(path, encode_answer("vpn0"), fd) as asked:
        host = BrokerHost(path)
        os.close((await host.open_tun("vpn0")).detach_fd())
        (connection,) = host._kept
        assert connection._sock.fileno() != -1
        await host.aclose()
        assert connection._sock.fileno() == -1
        assert len(asked) == 1
    os.close(fd)


async def test_no_descriptor_for_the_device(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this process may have no more descriptors, opening fails as that, and nothing is left."""

    async def receive(sock: object, size: int, limit: int) -> None:
        raise OSError(errno.EMFILE, "unix socket: no descriptor is free")

    async with answering(path, None), BrokerHost(path) as host:
        monkeypatch.setattr("aiotun.linux.passing.receive_descriptors", receive)
        with pytest.raises(OSError, match="no descriptor is free") as caught:
            await host.open_tun("vpn0")
    assert caught.value.errno == errno.EMFILE
