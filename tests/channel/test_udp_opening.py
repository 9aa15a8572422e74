"""Opening UDP channels: addresses that cannot be are the caller's to know."""

from __future__ import annotations

import re
import socket

import pytest

from aiotun import DeviceBusy, DeviceError
from aiotun.channel import open_udp, open_udp_pair
from aiotun.channel.udp_opening import BUFFER


async def test_open_udp_connects_to_its_peer() -> None:
    """A channel with a name for its peer's address is called after what it resolved to."""
    async with open_udp(("127.0.0.1", 0), ("127.0.0.1", 9)) as channel:
        assert (channel.name, channel.mtu) == ("udp 127.0.0.1:9", 65507)


async def test_open_udp_over_ipv6() -> None:
    """An IPv6 channel carries 20 bytes more, as its header does not count in its length."""
    async with open_udp(None, ("::1", 9)) as channel:
        assert (channel.name, channel.mtu) == ("udp [::1]:9", 65527)


async def test_a_pair_over_ipv6() -> None:
    """open_udp_pair() takes any address of this machine."""
    one, other = await open_udp_pair("::1")
    async with one, other:
        await one.send(b"1")
        assert await other.recv() == b"1"


async def test_port_zero_is_nobody() -> None:
    """A remote port of 0 is refused before there is a socket (G6)."""
    with pytest.raises(ValueError, match=re.escape("udp: no datagram can be sent to port 0 of 127.0.0.1")):
        await open_udp(None, ("127.0.0.1", 0))


async def test_a_local_port_that_is_taken() -> None:
    """The local port's other owner is a DeviceBusy, with both addresses in the text."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DeviceBusy, match=r"udp: cannot open a channel from 127\.0\.0\.1:\d+ to 127\.0\.0\.1:9: "):
            await open_udp(taken.getsockname(), ("127.0.0.1", 9))


async def test_a_local_address_that_is_not_ours() -> None:
    """An address of another machine cannot be received on."""
    with pytest.raises(DeviceError, match=r"udp: cannot open a channel from 192\.0\.2\.1:0 to 127\.0\.0\.1:9: "):
        await open_udp(("192.0.2.1", 0), ("127.0.0.1", 9))


async def test_addresses_of_two_families() -> None:
    """An IPv4 address to receive on and an IPv6 peer do not go together."""
    with pytest.raises(OSError, match="(?i)address family|not known|not supported"):
        await open_udp(("127.0.0.1", 0), ("::1", 9))


async def test_the_buffers_are_generous() -> None:
    """The socket asked for 4 MiB each way, and has what the system grants."""
    one, other = await open_udp_pair()
    async with one, other:
        with socket.socket(fileno=one.fileno()) as sock:
            granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            sock.detach()
        assert 65536 < granted <= 2 * BUFFER
