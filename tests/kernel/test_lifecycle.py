"""What happens to a kernel interface while an endpoint holds it: rows A and B of the fault catalogue."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import subprocess
from collections.abc import Iterator

import pytest

import aiotun
from aiotun import EventKind, packet
from aiotun.endpoint import turn
from aiotun.testing import watched_fds

pytestmark = pytest.mark.kernel

ADDRESS = "10.9.0.1/24"
PEER = ("10.9.0.2", 9)


def ip(*arguments: str) -> None:
    """Change the network with the tool an administrator uses."""
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace called "other"."""
    ip("netns", "add", "other")
    yield "other"
    subprocess.run(["ip", "netns", "del", "other"], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    """A socket of the kernel's own stack."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


async def parked(tun: aiotun.Tun) -> asyncio.Task[bytes]:
    """Start a task that waits in recv()."""
    task = asyncio.create_task(tun.recv())
    for _ in range(4):
        await turn()
    assert not task.done()
    return task


async def test_deletion_under_a_waiting_iteration_is_loud_and_then_silent() -> None:
    """`ip link del` under ``async for``: DeviceGone at once, and no callback of the loop ever again."""
    async with aiotun.open_tun("gone0") as tun:
        fd = tun.fileno()

        async def iterate() -> None:
            async for _ in tun:
                pass

        task = asyncio.create_task(iterate())
        for _ in range(4):
            await turn()
        ip("link", "del", "gone0")
        with pytest.raises(aiotun.DeviceGone, match="gone0: the interface was deleted"):
            await task
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(0) == [(fd, select.POLLERR)], "the descriptor is not the hazard it is taken for"
        assert not watched_fds()[fd], "the loop watches a descriptor that polls ready for ever"


async def test_the_descriptor_of_a_deleted_device_is_freed_by_close() -> None:
    """After deletion and close the descriptor number is free."""
    tun = await aiotun.open_tun("gone1")
    fd = tun.fileno()
    ip("link", "del", "gone1")
    await tun.aclose()
    with pytest.raises(OSError):
        os.fstat(fd)


async def test_a_device_deleted_before_the_first_wait_is_gone() -> None:
    """Deleted before anybody waited, the device is gone for the first who does (B4)."""
    async with aiotun.open_tun("gone2") as tun:
        ip("link", "del", "gone2")
        with pytest.raises(aiotun.DeviceGone):
            await tun.recv()


async def test_down_is_not_the_end(sender: socket.socket) -> None:
    """Through down and up a waiting recv() goes on waiting, and gets the packet that comes (B1)."""
    async with aiotun.open_tun("flap0", address=ADDRESS) as tun:
        task = await parked(tun)
        ip("link", "set", "flap0", "down")
        ip("link", "set", "flap0", "up")
        sender.sendto(b"after", PEER)
        assert (await task).endswith(b"after")


async def test_a_thousand_flaps_lose_nothing_queued(sender: socket.socket) -> None:
    """Packets queued before link flaps stay readable through them (B2)."""
    async with aiotun.open_tun("flap1", address=ADDRESS) as tun:
        for number in range(5):
            sender.sendto(bytes([number]), PEER)
        flaps = "link set flap1 down\nlink set flap1 up\n" * 1000
        subprocess.run(["ip", "-batch", "-"], input=flaps.encode(), check=True)
        assert [one[-1] for one in await tun.recv_many()] == [0, 1, 2, 3, 4]


async def test_writing_to_a_flapping_device_recovers() -> None:
    """A write while down is DeviceDown and nothing else; after up the same endpoint writes (A6)."""
    written = packet.IPv4("10.9.0.2", "10.9.0.1", 253).build().ljust(64, b"\0")
    async with aiotun.open_tun("flap2", address=ADDRESS) as tun:
        ip("link", "set", "flap2", "down")
        with pytest.raises(aiotun.DeviceDown, match="flap2: the interface is down"):
            await tun.send(written)
        ip("link", "set", "flap2", "up")
        await tun.send(written)


async def test_writable_waits_for_up() -> None:
    """The kernel reports no room while the interface is down; writable() returns once it is up (fact 7)."""
    async with aiotun.open_tun("flap3") as tun:
        ip("link", "set", "flap3", "down")
        task = asyncio.create_task(tun.writable())
        for _ in range(4):
            await turn()
        assert not task.done()
        ip("link", "set", "flap3", "up")
        await task


async def test_a_rename_shows_and_packets_flow(sender: socket.socket) -> None:
    """Renamed under the endpoint, the device goes on, and name says the new one (B10)."""
    async with aiotun.open_tun("before0", address=ADDRESS) as tun:
        task = await parked(tun)
        ip("link", "set", "before0", "name", "after0")
        sender.sendto(b"renamed", PEER)
        assert (await task).endswith(b"renamed")
        assert tun.name == "after0"


async def test_a_rename_is_an_event() -> None:
    """events() tells the new name."""
    async with aiotun.open_tun("before1") as tun:
        events = tun.events()
        ip("link", "set", "before1", "name", "after1")
        event = await anext(events)
        assert (event.kind, event.value) == (EventKind.RENAMED, "after1")


async def test_a_move_keeps_packets_flowing(namespace: str) -> None:
    """Moved to another namespace, the device works on; mtu and name are asked there (B11)."""
    async with aiotun.open_tun("move0", address=ADDRESS) as tun:
        task = await parked(tun)
        ip("link", "set", "move0", "netns", namespace)
        ip("-netns", namespace, "address", "add", ADDRESS, "dev", "move0")
        ip("-netns", namespace, "link", "set", "move0", "up", "mtu", "1333")
        inside = ["ip", "netns", "exec", namespace, "ping", "-c", "1", "-W", "1", "10.9.0.2"]
        ping = await asyncio.create_subprocess_exec(*inside, stdout=subprocess.DEVNULL)
        reply = packet.echo_reply(await task)
        while reply is None:  # the new namespace solicits IPv6 routers first
            reply = packet.echo_reply(await tun.recv())
        await tun.send(reply)
        assert await ping.wait() == 0
        assert (tun.name, tun.mtu) == ("move0", 1333)


async def test_a_move_is_an_event_and_events_go_on_there(namespace: str) -> None:
    """events() tells the move, and then what happens in the new namespace."""
    async with aiotun.open_tun("move1", up=False) as tun:
        events = tun.events()
        ip("link", "set", "move1", "netns", namespace)
        assert (await anext(events)).kind is EventKind.MOVED
        ip("-netns", namespace, "link", "set", "move1", "mtu", "1222")
        event = await anext(events)
        assert (event.kind, event.value) == (EventKind.MTU, 1222)


async def test_a_deleted_namespace_takes_its_device_along(namespace: str) -> None:
    """When the namespace a device was moved to goes, so does the device: DeviceGone (B12)."""
    async with aiotun.open_tun("move2") as tun:
        task = await parked(tun)
        ip("link", "set", "move2", "netns", namespace)
        assert tun.mtu == 1500
        ip("netns", "del", namespace)
        with pytest.raises(aiotun.DeviceGone):
            await task


async def test_a_detached_queue_is_not_an_error() -> None:
    """A device without a carrier still takes packets: carrier is not up (B14)."""
    async with aiotun.open_tap("carrier0", ipv6_linklocal=False) as tap:
        ip("link", "set", "carrier0", "carrier", "off")
        await tap.send(bytes(12) + b"\x88\xb5" + bytes(46))


async def test_interrupts_are_invisible() -> None:
    """Signals that arrive while the loop waits for packets end nothing (A3)."""
    import signal

    caught: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda *_: caught.append(1))
    try:
        async with aiotun.open_tun("signal0", address=ADDRESS) as tun:
            task = await parked(tun)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            while len(caught) < 50:
                await turn()
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert not task.done()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"through", PEER)
            assert (await task).endswith(b"through")
    finally:
        signal.signal(signal.SIGALRM, previous)


async def test_a_reused_descriptor_number_is_watched_afresh(sender: socket.socket) -> None:
    """Right after a close, a device under the same descriptor number wakes its reader (fact 4)."""
    first = await aiotun.open_tun("reuse0")
    task = await parked(first)
    number = first.fileno()
    await first.aclose()
    with pytest.raises(aiotun.DeviceClosed):
        await task
    async with aiotun.open_tun("reuse1", address=ADDRESS) as second:
        assert second.fileno() == number
        task = await parked(second)
        sender.sendto(b"seen", PEER)
        assert (await task).endswith(b"seen")


async def test_kernel_drops_are_counted(sender: socket.socket) -> None:
    """Packets the kernel had no room for appear in the statistics, and nothing else is missing."""
    async with aiotun.open_tun("drop0", address=ADDRESS, queue_length=10) as tun:
        for _ in range(100):
            sender.sendto(b"x", PEER)
        received = len(await tun.recv_many(100))
        interface = tun.statistics().interface
        assert interface is not None
        assert received + interface.dropped["kernel_queue_full"] == 100


async def test_events_of_a_deleted_device_are_its_end() -> None:
    """events() asked for after the deletion tells gone, and ends."""
    async with aiotun.open_tun("gone3") as tun:
        ip("link", "del", "gone3")
        assert [event.kind async for event in tun.events()] == [EventKind.GONE]


async def test_leaving_a_bridge_is_no_move() -> None:
    """A tap that leaves its bridge is not taken to have left the namespace."""
    async with aiotun.open_tap("port0", ipv6_linklocal=False) as tap:
        ip("link", "add", "bridge0", "type", "bridge")
        events = tap.events()
        ip("link", "set", "port0", "master", "bridge0")
        ip("link", "set", "port0", "nomaster")
        ip("link", "del", "bridge0")
        ip("link", "set", "port0", "mtu", "1400")
        event = await anext(events)
        assert (event.kind, event.value) == (EventKind.MTU, 1400)


async def test_another_device_of_the_same_name_is_not_taken_for_ours(namespace: str) -> None:
    """After a move, a new interface of the old name here does not lend us its mtu."""
    async with aiotun.open_tun("twin0") as tun:
        ip("link", "set", "twin0", "netns", namespace)
        async with aiotun.open_tun("twin0", mtu=1300):
            assert tun.mtu == 1500


async def test_events_of_other_interfaces_are_not_ours() -> None:
    """Only the device's own changes are told."""
    async with aiotun.open_tun("mine0") as tun, aiotun.open_tun("other0"):
        events = tun.events()
        ip("link", "set", "other0", "mtu", "1234")
        ip("link", "set", "mine0", "mtu", "1333")
        event = await anext(events)
        assert (event.kind, event.value) == (EventKind.MTU, 1333)


async def test_a_forgotten_endpoint_with_events_is_collected() -> None:
    """Watching for events does not keep an endpoint alive that nobody closed."""
    import gc

    tun = await aiotun.open_tun("forgot0")
    stream = tun.events()
    with pytest.warns(ResourceWarning, match="never closed"):
        del tun, stream
        gc.collect()
    with pytest.raises(OSError):
        socket.if_nametoindex("forgot0")


async def test_a_watch_that_failed_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """events() that could not be had once is not deaf the next time (J1)."""
    from aiotun.linux import monitor

    def refuse(*_: object, subscribe: bool = False) -> socket.socket:
        raise OSError(24, "too many open files")

    async with aiotun.open_tun("again0") as tun:
        with monkeypatch.context() as patch:
            patch.setattr(monitor, "open_netlink", refuse)
            with pytest.raises(aiotun.DeviceError, match="cannot watch the interface"):
                tun.events()
        events = tun.events()
        ip("link", "set", "again0", "mtu", "1400")
        assert (await anext(events)).value == 1400
