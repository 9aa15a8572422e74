"""Rows B of the fault catalogue: what others do to an interface while an endpoint holds it."""

from __future__ import annotations

import ast
import asyncio
import fcntl
import os
from pathlib import Path

import pytest

import aiotun
from aiotun import EventKind
from aiotun.endpoint.names import check_name
from aiotun.linux import constants
from aiotun.testing.expect import parked, turns

from .scene import ADDRESS, PACKET, ip, send_from_the_stack

kernel = pytest.mark.kernel

BIG = PACKET.ljust(1400, b"\0")


@kernel
async def test_B1_down_is_no_wake_up_and_an_event() -> None:
    """Down does not wake who waits in recv(); it is an event, and so is up."""
    async with aiotun.open_tun("down0") as tun:
        events = tun.events()
        task = await parked(tun.recv())
        ip("link", "set", "down0", "down")
        assert (await anext(events)).kind is EventKind.DOWN
        ip("link", "set", "down0", "up")
        assert (await anext(events)).kind is EventKind.UP
        await turns()
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@kernel
async def test_B13_a_lowered_mtu_that_is_watched_is_what_send_checks() -> None:
    """With events on, a packet over the lowered mtu is refused, with the new number, without asking for it."""
    async with aiotun.open_tun("mtu0", address=ADDRESS) as tun:
        events = tun.events()
        ip("link", "set", "mtu0", "mtu", "1300")
        event = await anext(events)
        assert (event.kind, event.value) == (EventKind.MTU, 1300)
        with pytest.raises(aiotun.PacketTooBig, match="mtu0: packet is 1400 bytes, mtu is 1300"):
            await tun.send(BIG)


@kernel
async def test_B13_a_lowered_mtu_that_nobody_watches_is_no_matter() -> None:
    """Without events a packet over the lowered mtu is sent: the kernel takes it whole, for an mtu is of its output."""
    async with aiotun.open_tun("mtu1", address=ADDRESS) as tun:
        ip("link", "set", "mtu1", "mtu", "1300")
        await tun.send(BIG)
        interface = tun.statistics().interface
        assert interface is not None
        assert (interface.ipackets, interface.ibytes, interface.dropped) == (1, 1400, {})
        assert tun.mtu == 1300
        with pytest.raises(aiotun.PacketTooBig):
            await tun.send(BIG)


NAMES = [
    "a",
    "tun-name.15byte",
    "tun_name.16bytes",
    "a/b",
    ".",
    "..",
    "a:b",
    "a b",
    "a\tb",
    "a\u00a0b",
    "t%d",
    "%d",
    "%s",
    "t%%",
    "t%d%d",
    "%",
    "\u00fc",
    "...",
    "-",
]


@kernel
@pytest.mark.parametrize("name", NAMES)
def test_B16_a_name_is_judged_as_the_kernel_judges_it(name: str) -> None:
    """What the kernel takes for a name, or a template, is taken; what it refuses is refused before it is asked."""
    assert _taken_here(name) == _taken_by_the_kernel(name)


def _taken_here(name: str) -> bool:
    try:
        check_name(name)
    except ValueError:
        return False
    return True


def _taken_by_the_kernel(name: str) -> bool:
    if len(name.encode()) > 15:  # which the structure has no room for
        return False
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, constants.TUNSETIFF, constants.IFREQ.pack(name.encode(), constants.IFF_TUN))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


@kernel
async def test_B18_a_deleted_device_stays_gone_under_a_new_one_of_its_name() -> None:
    """A new interface under the old name is not attached to: the endpoint stays gone, and the new one has its own."""
    async with aiotun.open_tun("again0") as tun:
        ip("link", "del", "again0")
        async with aiotun.open_tun("again0", address=ADDRESS) as second:
            with pytest.raises(aiotun.DeviceGone):
                await tun.recv()
            with pytest.raises(aiotun.DeviceGone):
                await tun.send(PACKET)
            send_from_the_stack(b"new")
            assert (await second.recv()).endswith(b"new")


@kernel
async def test_B22_what_others_set_is_tolerated() -> None:
    """Queue length, promiscuity, multicast and ARP may be set by anybody: no event, and packets go on both ways."""
    async with aiotun.open_tap("others0", address=ADDRESS, ipv6_linklocal=False) as tap:
        events = tap.events()
        waiting = await parked(anext(events))
        for setting in ("txqueuelen 7", "promisc on", "allmulticast on", "multicast off", "arp off", "txqueuelen 500"):
            ip("link", "set", "others0", *setting.split())
        await turns(20)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        send_from_the_stack(b"through")
        assert (await tap.recv()).endswith(b"through")
        await tap.send(bytes(12) + b"\x88\xb5" + bytes(46))


# What a packet, or a change of an interface, is stamped with is the time of day; how long something takes is not.
STAMPS = {"driver/bpf.py", "driver/interface.py", "driver/tap_ioctl.py", "driver/tun_ioctl.py"}


def test_B23_a_clock_that_jumps_is_no_matter() -> None:
    """The time of day is asked for time stamps only: nothing that waits or limits a rate depends on it."""
    package = Path(aiotun.__file__).parent
    asking = {str(file.relative_to(package)) for file in package.rglob("*.py") if _asks_the_time_of_day(file)}
    assert asking - {file for file in asking if file.startswith("capture/")} == STAMPS


def _asks_the_time_of_day(file: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in ("time", "time_ns", "now", "utcnow")
        and isinstance(node.value, ast.Name)
        and node.value.id in ("time", "datetime")
        for node in ast.walk(ast.parse(file.read_text()))
    )
