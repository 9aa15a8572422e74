"""The options of a UDP socket, as the kernel has them afterwards."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any

import pytest

from aiotun import DeviceError
from aiotun.channel import open_udp, open_udp_pair
from aiotun.channel.udp_options import BUFFER, MODES, configure, tell_local

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the options are Linux's")

SO_MARK, SO_BINDTODEVICE, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 36, 25, 10, 23


def asked(fd: int, *option: int) -> Any:
    with socket.socket(fileno=fd) as sock:
        try:
            return sock.getsockopt(*option)
        finally:
            sock.detach()


@pytest.mark.kernel
async def test_a_mark() -> None:
    """SO_MARK is what was asked for."""
    async with open_udp(None, ("127.0.0.1", 9), mark=77) as channel:
        assert asked(channel.fileno(), socket.SOL_SOCKET, SO_MARK) == 77


@pytest.mark.kernel
async def test_a_device() -> None:
    """A socket that is bound to an interface says which."""
    async with open_udp(None, ("127.0.0.1", 9), device="lo") as channel:
        assert asked(channel.fileno(), socket.SOL_SOCKET, SO_BINDTODEVICE, 16) == b"lo\0"


async def test_no_such_device() -> None:
    """An interface that is not there is named in the error."""
    with pytest.raises(DeviceError, match="udp: the socket cannot be bound to nowhere0: there is no such interface"):
        await open_udp(None, ("127.0.0.1", 9), device="nowhere0")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_path_mtu_discovery(host: str, mode: Any) -> None:
    """The kernel has the mode, of both families where the socket can have both."""
    async with open_udp(None, (host, 9), path_mtu_discovery=mode) as channel:
        assert asked(channel.fileno(), socket.IPPROTO_IP, IP_MTU_DISCOVER) == MODES[mode]
        if host == "::1":
            assert asked(channel.fileno(), socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) == MODES[mode]


async def test_a_mode_that_is_none() -> None:
    """Another word is a ValueError that lists the modes."""
    with pytest.raises(
        ValueError, match="path_mtu_discovery is one of dont, want, do, probe, interface, omit, not 'x'"
    ):
        await open_udp(None, ("127.0.0.1", 9), path_mtu_discovery="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("mtu", [0, 65508])
async def test_an_mtu_that_is_none(mtu: int) -> None:
    """A longest packet that no datagram can have is refused, and the socket closed."""
    with pytest.raises(ValueError, match=f"the mtu of a UDP channel is from 1 to 65507 bytes, not {mtu}"):
        await open_udp(None, ("127.0.0.1", 9), mtu=mtu)


async def test_the_buffers_are_generous() -> None:
    """The socket asked for 4 MiB each way, and has what the system grants."""
    one, other = await open_udp_pair()
    async with one, other:
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            assert 65536 < asked(one.fileno(), socket.SOL_SOCKET, option) <= 2 * BUFFER


async def test_the_buffers_are_what_was_asked() -> None:
    """A smaller buffer is granted; the kernel doubles what it is asked for."""
    async with open_udp(None, ("127.0.0.1", 9), buffer=20000) as channel:
        assert asked(channel.fileno(), socket.SOL_SOCKET, socket.SO_RCVBUF) == 40000


class Forbidding:
    """A socket that an ordinary user has: nothing that takes a right is granted."""

    family = socket.AF_INET

    def __init__(self, *forbidden: int) -> None:
        self.forbidden = forbidden
        self.given: list[int] = []

    def setblocking(self, on: bool) -> None:
        pass

    def setsockopt(self, level: int, option: int, value: object) -> None:
        if option in self.forbidden:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.given.append(option)


def test_a_mark_without_the_right() -> None:
    """A mark that is not allowed is a PermissionError that says what it takes (G12)."""
    with pytest.raises(
        PermissionError, match=r"udp: the socket may not mark datagrams with 5; it takes CAP_NET_ADMIN, or"
    ):
        configure(Forbidding(SO_MARK), {"mark": 5})  # type: ignore[arg-type]


def test_a_device_without_the_right() -> None:
    """So is an interface on an older kernel."""
    with pytest.raises(PermissionError, match=r"may not be bound to eth0; before Linux 5\.7 it takes CAP_NET_RAW"):
        configure(Forbidding(SO_BINDTODEVICE), {"device": "eth0"})  # type: ignore[arg-type]


def test_buffers_without_the_right() -> None:
    """A buffer beyond the system's limit is asked for within it, where the right is lacking (G12)."""
    sock = Forbidding(32, 33)
    configure(sock, {})  # type: ignore[arg-type]
    assert sock.given == [socket.SO_SNDBUF, socket.SO_RCVBUF]


@pytest.mark.parametrize(("family", "option"), [(socket.AF_INET, (0, 8)), (socket.AF_INET6, (41, 49))])
def test_the_local_address_is_told(family: int, option: tuple[int, int]) -> None:
    """The kernel tells where a datagram was sent to."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        tell_local(sock)
        assert sock.getsockopt(*option) == 1
