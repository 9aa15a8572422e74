"""Leasing devices out: new ones only, and none outlives its lease."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
from pathlib import Path

import pytest

import aiotun
from aiotun import DeviceBusy, DeviceGone
from aiotun.linux import Settings, Terms
from aiotun.linux.leasing import lease_device

pytestmark = pytest.mark.kernel


def links() -> set[str]:
    """Return the interfaces of this namespace."""
    return {name for _, name in socket.if_nameindex()}


async def test_a_lease_has_the_device() -> None:
    """The device is there, as its settings say, and its descriptor works for whoever gets it."""
    lease = await lease_device("tun", "lease%d", Settings(mtu=1400, up=True))
    try:
        assert lease.name == "lease0"
        (fd,) = lease.fds
        async with aiotun.Tun.from_fd(os.dup(fd)) as tun:
            assert (tun.name, tun.mtu) == ("lease0", 1400)
    finally:
        await lease.end()
    assert links() == {"lo"}


async def test_released_it_is_the_others() -> None:
    """After the release the device lasts as long as the other's descriptor, and the end finds nothing left."""
    lease = await lease_device("tun", "lease0", Settings())
    other = os.dup(lease.fds[0])
    await lease.release()
    assert (lease.fds, "lease0" in links()) == ([], True)
    os.close(other)
    assert "lease0" not in links()
    await lease.end()


async def test_the_end_deletes_what_is_still_there() -> None:
    """When the lease ends, the device is deleted under whoever still holds it, renamed and persistent as it may be."""
    lease = await lease_device("tap", "lease0", Settings())
    async with aiotun.Tap.from_fd(os.dup(lease.fds[0])) as tap:
        await lease.release()
        tap.device.persistent = True
        subprocess.run(["ip", "link", "set", "lease0", "name", "other0"], check=True)
        await lease.end()
        with pytest.raises(DeviceGone):
            await tap.recv()
    assert links() == {"lo"}


async def test_another_of_the_same_name_stays() -> None:
    """A device of the same name that somebody made since is not the lease's to delete."""
    lease = await lease_device("tun", "lease0", Settings())
    await lease.release()
    async with aiotun.open_tun("lease0"):
        await lease.end()
        assert "lease0" in links()


async def test_ending_twice() -> None:
    """A lease may be ended again."""
    lease = await lease_device("tun", "lease0", Settings())
    await lease.end()
    await lease.end()


async def test_what_was_done_is_undone() -> None:
    """What was set beyond the device is as it was when the lease has ended, though the descriptor was passed on."""
    setting = Path("/proc/sys/net/ipv4/ip_forward")
    before = setting.read_text()
    other = "0" if before.strip() == "1" else "1"
    lease = await lease_device("tun", "lease0", Settings(sysctls={"net.ipv4.ip_forward": other}))
    try:
        await lease.release()
        assert setting.read_text().strip() == other
    finally:
        await lease.end()
    assert setting.read_text() == before


@pytest.mark.parametrize("queues", [None, 1, 2])
async def test_a_taken_name(queues: int | None) -> None:
    """A name that is taken is busy, even where the driver would add one more queue to somebody's device."""
    async with aiotun.open_tun("lease0", queues=1):
        with pytest.raises(DeviceBusy, match="^lease0: there is an interface of this name") as caught:
            await lease_device("tun", "lease0", Settings(), terms=Terms(queues=queues))
    assert caught.value.errno == errno.EBUSY


async def test_a_name_taken_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A persistent device that appears between the look and the opening is left as it was."""
    monkeypatch.setattr("aiotun.linux.leasing._exists", lambda name, netns: False)
    async with aiotun.open_tun("lease0", persistent=True):
        pass
    with pytest.raises(DeviceBusy, match="^lease0: there is an interface of this name"):
        await lease_device("tun", "lease0", Settings())
    async with aiotun.open_tun("lease0") as tun:
        tun.device.persistent = False


async def test_several_queues() -> None:
    """A lease of several queues has a descriptor of each."""
    lease = await lease_device("tun", "lease0", Settings(), terms=Terms(queues=3))
    assert len(lease.fds) == 3
    await lease.end()
    assert links() == {"lo"}


async def test_a_cancelled_lease_leaves_nothing() -> None:
    """Cancelled at any of its steps, leasing leaves no device and no descriptor."""
    for ticks in range(12):
        task = asyncio.create_task(lease_device("tun", "lease0", Settings(up=True)))
        for _ in range(ticks):
            await asyncio.sleep(0.0005)
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(outcome, BaseException):
            await outcome.end()
        assert links() == {"lo"}


async def test_without_a_thread_it_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be had, the lease ends in the loop."""
    lease = await lease_device("tun", "lease0", Settings())

    async def none(function: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("aiotun.linux.leasing.in_thread", none)
    await lease.end()
    assert links() == {"lo"}


async def test_a_namespace_that_is_gone() -> None:
    """With its namespace the device went, and the lease ends without a word."""
    subprocess.run(["ip", "netns", "add", "brief"], check=True)
    lease = await lease_device("tun", "lease0", Settings(), "brief")
    await lease.release()
    subprocess.run(["ip", "netns", "del", "brief"], check=True)
    await lease.end()


async def test_another_interface_of_that_number_stays() -> None:
    """An interface that is no tun or tap is not deleted, though it have the number of the lease's device."""
    lease = await lease_device("tun", "lease0", Settings())
    lease._index = socket.if_nametoindex("lo")
    await lease.end()
    assert links() == {"lo"}
