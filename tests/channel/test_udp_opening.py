"""Opening UDP channels: addresses that cannot be are the caller's to know."""

from __future__ import annotations

import re
import socket

import pytest

from aiotun import DeviceBusy, DeviceError
from aiotun.channel import open_udp, open_udp_pair, serve_udp
from aiotun.channel.udp_address import address_text


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


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_a_server_is_at_its_address(host: str) -> None:
    """A server says where it receives, the port it was given included."""
    async with serve_udp((host, 0)) as server:
        assert (server.address[0] == host, server.address[1] > 0) == (host != "localhost", True)
        assert server.name == f"udp {address_text(server.address)}"


async def test_a_server_of_both_families() -> None:
    """On ``::`` both families arrive, and each looks as it does on a socket of its own."""
    async with (
        serve_udp(("::", 0)) as server,
        open_udp(None, ("127.0.0.1", server.address[1])) as four,
        open_udp(None, ("::1", server.address[1])) as six,
    ):
        await four.send(b"4")
        await six.send(b"6")
        found = [await server.accept(), await server.accept()]
        assert {peer.address[0]: peer.mtu for peer in found} == {"127.0.0.1": 65507, "::1": 65527}
        for peer in found:
            await peer.send(b"to " + peer.address[0].encode())
        assert [await four.recv(), await six.recv()] == [b"to 127.0.0.1", b"to ::1"]


async def test_a_server_of_one_family() -> None:
    """Without dual_stack ``::`` is IPv6 alone: the port is IPv4's to bind."""
    async with serve_udp(("::", 0), dual_stack=False) as six, serve_udp(("0.0.0.0", six.address[1])) as four:
        assert (six.address[0], four.address[0]) == ("::", "0.0.0.0")


async def test_a_servers_port_that_is_taken() -> None:
    """The port's other owner is a DeviceBusy, with the address in the text."""
    async with serve_udp(("127.0.0.1", 0)) as server:
        with pytest.raises(DeviceBusy, match=r"udp: cannot open a server at 127\.0\.0\.1:\d+: "):
            await serve_udp(server.address)


async def test_no_room_for_anybody() -> None:
    """A server has room for at least one datagram of nobody known."""
    with pytest.raises(ValueError, match="udp: there is room for at least 1 datagram of nobody known, not 0"):
        await serve_udp(("127.0.0.1", 0), unknown_limit=0)


async def test_a_low_port_without_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is not allowed is a PermissionError with what it takes."""

    def bind(sock: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(PermissionError, match="below 1024 takes CAP_NET_BIND_SERVICE"):
        await serve_udp(("127.0.0.1", 53))
