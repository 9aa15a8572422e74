"""The requests of a tap, as typed calls."""

from __future__ import annotations

import errno
import time
from ipaddress import ip_interface

import pytest

from aiotun.driver import Family, MediaStatus, SockAddr
from aiotun.driver.media import IFM_1000_T, IFM_AUTO, IFM_ETHER
from aiotun.errors import DeviceError

from .fakes import open_tap

GROUP = SockAddr.of("01:00:5e:00:00:09")
OTHER = SockAddr.of("01:00:5e:00:00:0a")


def test_nonblocking() -> None:
    """set_nonblocking() takes a truth value."""
    tap = open_tap()
    states = []
    for on in (7, 0):
        tap.set_nonblocking(on)
        states.append(tap.nonblocking)
    assert states == [True, False]


def test_ifname() -> None:
    """ifname() is the interface's name."""
    assert open_tap().ifname() == "dev0"


def test_media() -> None:
    """A medium that is selected is current and active."""
    tap = open_tap()
    tap.set_media(IFM_ETHER | IFM_1000_T)
    status = tap.media_status()
    assert isinstance(status, MediaStatus)
    assert (status.current, status.active) == (IFM_ETHER | IFM_1000_T, IFM_ETHER | IFM_1000_T)


def test_no_such_medium() -> None:
    """A medium that the interface has not is ENXIO, with its name, and the old one stays."""
    tap = open_tap()
    with pytest.raises(DeviceError, match="dev0: no medium subtype 30") as caught:
        tap.set_media(IFM_ETHER | 30)
    assert (caught.value.errno, tap.media_status().current) == (errno.ENXIO, IFM_ETHER | IFM_AUTO)


def test_the_hardware_address() -> None:
    """A hardware address of family LINK is set."""
    tap = open_tap()
    tap.set_hardware_address(SockAddr.of("02:00:00:00:00:09"))
    assert tap.mac == bytes.fromhex("020000000009")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (SockAddr.of("10.0.0.1"), "dev0: a hardware address is of family LINK, not INET"),
        (SockAddr.of("02:00:00:00:09"), "six groups"),
        (SockAddr(Family.LINK, "02:00:00:00:00:00:00:09"), "23 characters"),
    ],
)
def test_a_hardware_address_that_is_none(address: SockAddr, text: str) -> None:
    """An address of another family, or not of 6 bytes, is EINVAL, and the old one stays."""
    tap = open_tap()
    before = tap.mac
    with pytest.raises(DeviceError, match=text) as caught:
        tap.set_hardware_address(address)
    assert (caught.value.errno, tap.mac) == (errno.EINVAL, before)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(SockAddr.of("fd00::1"), "fd00::1/128"), (ip_interface("10.0.0.1/24"), "10.0.0.1/24")],
)
def test_an_address(monkeypatch: pytest.MonkeyPatch, given: SockAddr, kept: str) -> None:
    """An address brings the interface up, and stamps lastchange again though it is up."""
    tap = open_tap(up=False)
    for stamp in (1.5, 2.5):
        monkeypatch.setattr(time, "time", lambda stamp=stamp: stamp)
        tap.set_address(given)
    assert (tap.addresses, tap.up, tap.lastchange) == ([ip_interface(kept)], True, 2.5)


def test_an_address_that_is_none() -> None:
    """An address that cannot be one is refused, and the interface stays down."""
    tap = open_tap(up=False)
    with pytest.raises(ValueError):
        tap.set_address(SockAddr(Family.LINK, "02:00:00:00:00:09"))
    assert not tap.up


def test_a_scoped_address() -> None:
    """An address is kept without its scope, as a tun keeps it."""
    tap = open_tap()
    tap.set_address(SockAddr(Family.INET6, "fe80::1%3"))
    assert tap.addresses == [ip_interface("fe80::1/128")]


def test_groups_are_counted() -> None:
    """A group is a member until it was left as often as it was joined; another does not count for it."""
    tap = open_tap()
    for join in (GROUP, GROUP, OTHER):
        tap.join(join)
    tap.leave(GROUP)
    assert tap.groups == {GROUP.address: 1, OTHER.address: 1}
    tap.leave(GROUP)
    assert tap.groups == {OTHER.address: 1}


@pytest.mark.parametrize("joined", [False, True])
def test_a_group_that_was_not_joined(joined: bool) -> None:
    """Leaving a group that was not joined is ENXIO, before any was and after."""
    tap = open_tap()
    if joined:
        tap.join(OTHER)
    with pytest.raises(DeviceError, match="dev0: not a member of 01:00:5e:00:00:09") as caught:
        tap.leave(GROUP)
    assert caught.value.errno == errno.ENXIO


def test_an_empty_address() -> None:
    """An address of no family is EFAULT, and the interface is left alone."""
    tap = open_tap(up=False)
    with pytest.raises(DeviceError, match="^dev0: the address is empty$") as caught:
        tap.set_address(SockAddr(Family.UNSPEC))
    assert (caught.value.errno, tap.addresses, tap.up) == (errno.EFAULT, [], False)
