"""The requests of a tun, as typed calls."""

from __future__ import annotations

import errno
import os
import time
from ipaddress import ip_interface

import pytest

from aiotun.driver import Credentials, Family, Flags, SockAddr, TunDevice, TunInfo
from aiotun.endpoint import Event, EventKind
from aiotun.errors import DeviceBusy, DeviceError

from .fakes import Listener, Stack, open_tun

KINDS = Flags.POINTOPOINT | Flags.BROADCAST


def test_info() -> None:
    """info() is mtu, type and speed; at first those of a PPP interface."""
    tun = open_tun()
    before = tun.info()
    tun.set_info(TunInfo(baudrate=9600, mtu=1400, type=6))
    assert (before, tun.info()) == (TunInfo(0, 1500, 23), TunInfo(9600, 1400, 6))


def test_info_tells_of_the_mtu() -> None:
    """set_info() tells of a new mtu as every other way does."""
    tun, listener = open_tun(), Listener()
    tun.listen(listener)
    tun.set_info(TunInfo(mtu=1400))
    assert listener.told == [Event(EventKind.MTU, 1400)]


def test_refused_info_changes_nothing() -> None:
    """set_info() with an mtu below 72 is EINVAL, and type and speed stay."""
    tun = open_tun()
    with pytest.raises(DeviceError, match="dev0: mtu 71 is below 72") as caught:
        tun.set_info(TunInfo(baudrate=1, mtu=71, type=1))
    assert (caught.value.errno, tun.info()) == (errno.EINVAL, TunInfo(0, 1500, 23))


def test_the_modes_are_off_or_on() -> None:
    """A mode is what was asked for, as a truth value; 1 or 0 to who asks."""
    tun = open_tun()
    tun.set_ifhead(7)
    assert (tun.ifhead, tun.has_ifhead(), tun.with_head) == (True, 1, True)
    tun.set_lmode(7)
    assert (tun.lmode, tun.ifhead, tun.has_ifhead(), tun.with_head) == (True, False, 0, False)
    tun.set_ifhead(0)
    assert tun.lmode is True
    tun.set_lmode(0)
    assert (tun.lmode, tun.ifhead) == (False, False)


@pytest.mark.parametrize("mode", [Flags.POINTOPOINT, Flags.BROADCAST])
def test_ifmode(mode: Flags) -> None:
    """set_ifmode() takes one kind in place of the other, back and forth."""
    tun = open_tun(up=False)
    for kind in (KINDS ^ mode, mode):
        tun.set_ifmode(int(kind))
    assert tun.flags == mode | Flags.MULTICAST


def test_ifmode_of_nothing_known() -> None:
    """set_ifmode() of other flags says which."""
    with pytest.raises(DeviceError, match="dev0: no mode 0x12, only POINTOPOINT and BROADCAST"):
        open_tun(up=False).set_ifmode(0x12)


def test_ifmode_while_up() -> None:
    """set_ifmode() of an interface that is up is refused with a sentence."""
    with pytest.raises(DeviceBusy, match="dev0: the interface is up; its mode is set while it is down"):
        open_tun().set_ifmode(int(Flags.POINTOPOINT))


def test_take_pid() -> None:
    """take_pid() makes this process the opener; a closed device stays closed."""
    tun = TunDevice("tun0", Stack())
    tun.take_pid()
    before = tun.pid
    tun.open(Credentials(pid=4242))
    tun.take_pid()
    assert (before, tun.pid) == (None, os.getpid())


def test_status() -> None:
    """status() is a line that names the process, or nothing."""
    tun = open_tun()
    line = tun.status()
    tun.close()
    assert (line, tun.status()) == (f"\tOpened by PID {os.getpid()}\n", "")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (SockAddr.of("10.0.0.1"), "10.0.0.1/32"),
        (SockAddr.of("fd00::1"), "fd00::1/128"),
        (SockAddr(Family.INET6, "fe80::1%3"), "fe80::1/128"),
        (ip_interface("10.0.0.1/24"), "10.0.0.1/24"),
    ],
)
def test_set_address(given: SockAddr, kept: str) -> None:
    """An address is kept with its prefix length, that of itself alone if it came without, and without its scope."""
    tun = open_tun(up=False)
    tun.set_address(given)
    assert (tun.addresses, tun.up) == ([ip_interface(kept)], True)


def test_an_empty_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty address is EFAULT; the interface is up all the same, its change stamped, and has no address."""
    tun = open_tun(up=False)
    monkeypatch.setattr(time, "time", lambda: 7.5)
    with pytest.raises(DeviceError, match="dev0: the address is empty") as caught:
        tun.set_address(SockAddr(Family.UNSPEC))
    assert (caught.value.errno, tun.up, tun.lastchange, tun.addresses) == (errno.EFAULT, True, 7.5, [])


def test_set_destination() -> None:
    """The destination is kept, and brings the interface up."""
    tun = open_tun(up=False)
    tun.set_destination(SockAddr.of("10.0.0.2"))
    assert (tun.destination, tun.up, tun.addresses) == (SockAddr.of("10.0.0.2"), True, [])


def test_iaset_stays() -> None:
    """IASET stays when a later address is not IPv4."""
    tun = open_tun()
    tun.set_address(SockAddr.of("10.0.0.1"))
    tun.remove_address(ip_interface("10.0.0.1/32"))
    tun.set_address(SockAddr.of("fd00::1"))
    assert tun.iaset
