"""Where a device's descriptors come from when nobody says otherwise."""

from __future__ import annotations

import os
import socket

import pytest

from aiotun.linux.origin import HERE

pytestmark = pytest.mark.kernel


def test_a_socket_is_as_asked() -> None:
    """Family, type and protocol are what was asked for."""
    with HERE.make_socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP) as sock:
        assert (sock.family, sock.type, sock.proto) == (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP)


def test_the_clone_device_is_private_and_never_blocks() -> None:
    """The descriptor is of /dev/net/tun, does not block, and no program inherits it."""
    fd = HERE.open_clone_device()
    found = os.readlink(f"/proc/self/fd/{fd}"), os.get_blocking(fd), os.get_inheritable(fd)
    os.close(fd)
    assert found == ("/dev/net/tun", False, False)


def test_here_is_where_the_thread_is() -> None:
    """holds() is true of the calling thread's network namespace only."""
    network = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    another = os.open("/proc/thread-self/ns/user", os.O_RDONLY)
    held = HERE.holds(network), HERE.holds(another)
    os.close(network)
    os.close(another)
    assert held == (True, False)
