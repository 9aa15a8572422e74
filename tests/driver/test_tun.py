"""The tun driver as a whole: what it is, and who may open it."""

from __future__ import annotations

import errno
import os

import pytest

from aiotun.driver import Credentials, Flags, Netisr, TunDevice
from aiotun.driver.tun import check_root
from aiotun.errors import DeviceBusy
from aiotun.queueing import Fifo

from .fakes import Stack, open_tun

NOBODY = Credentials(uid=65534)


def test_flags() -> None:
    """A tun begins as a point-to-point interface that can do multicast."""
    assert open_tun(up=False).flags == Flags.POINTOPOINT | Flags.MULTICAST


def test_options() -> None:
    """Name, mtu, queue and registered protocols are what was given."""
    netisr, snd = Netisr(), Fifo(3)
    tun = TunDevice("tun7", Stack(), mtu=1400, snd=snd, netisr=netisr)
    assert (tun.name, tun.mtu, tun.snd, tun.netisr) == ("tun7", 1400, snd, netisr)
    assert TunDevice("tun8", Stack(), queue_length=3).snd.max_packets == 3


def test_defaults() -> None:
    """By default nothing stands in front, nobody has registered a protocol, and the device is not an endpoint's."""
    tun = TunDevice("tun0", Stack())
    assert (tun.lmode, tun.ifhead, tun.bare, tun.netisr, tun.destination, tun.iaset, tun.is_open) == (
        False, False, False, None, None, False, False,
    )  # fmt: skip


def test_root_is_let_in() -> None:
    """Root, and this program itself, may open a tun."""
    check_root("tun0", Credentials())
    check_root("tun0", None)


def test_others_are_not() -> None:
    """Another user is refused with EPERM and a sentence; the device stays free."""
    tun = TunDevice("tun0", Stack())
    with pytest.raises(PermissionError, match="tun0: a tun is opened by root, not by user 65534") as caught:
        tun.open(NOBODY)
    assert (caught.value.errno, tun.is_open) == (errno.EPERM, False)


def test_the_credentials_are_passed_on() -> None:
    """The process that is recorded is that of the credentials."""
    tun = TunDevice("tun0", Stack())
    tun.open(Credentials(pid=4242))
    assert tun.pid == 4242
    with pytest.raises(DeviceBusy, match="tun0: held by process 4242"):
        tun.open()


def test_closing_forgets_the_owner() -> None:
    """Closing clears the SIGIO owner."""
    tun = open_tun()
    tun.set_owner(os.getpid())
    tun.close()
    assert tun.owner() == 0


def test_closing_keeps_the_mode() -> None:
    """The mode is the interface's, and stays through a close."""
    tun = open_tun()
    tun.set_lmode(1)
    tun.close()
    assert tun.lmode
