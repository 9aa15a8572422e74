"""Asking about a link without netlink."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from aiotun.linux.ifioctl import open_netlink_if_any, query_by_ioctl
from aiotun.linux.rtnetlink import open_netlink, query_link

pytestmark = pytest.mark.kernel


def refusing(code: int) -> socket.socket:
    raise OSError(code, os.strerror(code))


def test_it_says_what_netlink_says() -> None:
    """Index, name, mtu and flags of lo are those that netlink tells."""
    with open_netlink() as netlink:
        link = query_link(netlink, "lo")
    asked = query_by_ioctl(socket.socket, "lo")
    assert (asked.index, asked.name, asked.mtu) == (link.index, link.name, link.mtu)
    assert asked.flags == link.flags & 0xFFFF  # the ioctl has 16 bits of them


def test_it_counts_nothing() -> None:
    """Of counters the ioctls know nothing, which is not to be taken for zeros."""
    assert not query_by_ioctl(socket.socket, "lo").counted


def test_a_missing_link_is_enodev() -> None:
    """Asking for a link that is not there raises ENODEV."""
    with pytest.raises(OSError) as caught:
        query_by_ioctl(socket.socket, "nothing0")
    assert caught.value.errno == errno.ENODEV


def test_a_socket_of_the_unix_family_will_do() -> None:
    """The one socket that is asked for is of AF_UNIX, which the narrowest sandbox allows."""
    made: list[int] = []

    def make(family: int, type: int, proto: int) -> socket.socket:
        made.append(family)
        return socket.socket(family, type, proto)

    query_by_ioctl(make, "lo")
    assert made == [socket.AF_UNIX]


def test_netlink_that_is_there_is_opened() -> None:
    """Where netlink is to be had, it is the same socket as ever."""
    netlink = open_netlink_if_any(socket.socket)
    assert netlink is not None
    with netlink:
        assert query_link(netlink, "lo").index == 1


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOSYS])
def test_a_sandbox_has_none(code: int) -> None:
    """What refuses the family altogether is no error: there is none, and it goes without."""
    assert open_netlink_if_any(lambda *_: refusing(code)) is None


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_will_pass_is_raised(code: int) -> None:
    """A refusal for want of something is raised: it is no reason to go without from then on."""
    with pytest.raises(OSError) as caught:
        open_netlink_if_any(lambda *_: refusing(code))
    assert caught.value.errno == code
