"""Two real kernels with the stages between them: what a VPN's users would notice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiotun
from aiotun import stages
from aiotun.host.private import PrivateHost

pytestmark = pytest.mark.kernel

HERE = {4: "10.8.0.2", 6: "fd00::2"}
THERE = {4: "192.0.2.7", 6: "2001:db8::7"}
OUTSIDE = {4: "203.0.113.5", 6: "2001:db8:5::5"}
ROUTER = "10.8.0.1"


class Between:
    """A host behind a NAT, one on the other side, and the stages between them."""

    def __init__(self, home: PrivateHost, internet: PrivateHost, mtu: int) -> None:
        self.home, self.internet, self.mtu = home, internet, mtu
        self.nat = stages.Nat(OUTSIDE[4], OUTSIDE[6])

    @asynccontextmanager
    async def joined(self, offload: bool, *extra: Any) -> AsyncIterator[None]:
        """Open a tun on either side, and carry packets between them while the block runs."""
        options: dict[str, Any] = {"offload": True} if offload else {}
        ours, theirs = [f"{HERE[4]}/24", f"{HERE[6]}/64"], [f"{THERE[4]}/24", f"{THERE[6]}/64"]
        async with (
            self.home.open_tun("lan0", address=ours, **options) as lan,
            self.internet.open_tun("wan0", address=theirs, **options) as wan,
        ):
            for prefix in ("0.0.0.0/0", "::/0"):
                await self.home.add_route(prefix, interface=lan)
                await self.internet.add_route(prefix, interface=wan)
            errors = stages.ICMPErrors(lan.send_many_nowait, ROUTER, "fd00::1")
            outbound = [
                stages.decrement_ttl(errors),
                stages.packet_too_big(self.mtu, errors),
                *extra,
                self.nat.outbound,
            ]
            async with aiotun.pump(lan, wan, outbound=outbound, inbound=[self.nat.inbound]):
                yield


@asynccontextmanager
async def between(offload: bool = False, *extra: Any, mtu: int = 1500) -> AsyncIterator[Between]:
    """Start both hosts and join them."""
    async with asyncio.timeout(60), PrivateHost() as home, PrivateHost() as internet:
        both = Between(home, internet, mtu)
        async with both.joined(offload, *extra):
            yield both


async def transfer(both: Between, version: int, size: int = 500_000) -> tuple[str, bytes]:
    """Send bytes there and back over TCP; return who the server saw, and what came back."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])
        writer.write(await reader.readexactly(size))
        await writer.drain()
        writer.close()

    async with await both.internet.start_server(serve, THERE[version], 8080):
        reader, writer = await both.home.open_connection(THERE[version], 8080)
        writer.write(pattern(size))
        received = await reader.readexactly(size)
        writer.close()
        await writer.wait_closed()
    return seen[0], received


def pattern(size: int) -> bytes:
    """Bytes that are never the same twice in a segment."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("offload", [False, True])
async def test_tcp(version: int, offload: bool) -> None:
    """A connection through the NAT carries every byte both ways, its super-packets whole or not."""
    async with between(offload) as both:
        assert await transfer(both, version) == (OUTSIDE[version], pattern(500_000))


async def readable(sock: socket.socket) -> None:
    """Wait until something is there to receive; uvloop has no sock_recvfrom()."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)


async def test_fragments() -> None:
    """Datagrams longer than the mtu pass the NAT in fragments, there and back."""
    async with between() as both:
        there = await both.internet.datagram(local_addr=(THERE[4], 53))
        here = await both.home.datagram(remote_addr=(THERE[4], 53))
        with there, here:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(here, pattern(8000))
            await readable(there)
            received, who = there.recvfrom(65535)
            assert (who[0], received) == (OUTSIDE[4], pattern(8000))
            there.sendto(pattern(6000), who)
            assert await loop.sock_recv(here, 65535) == pattern(6000)


@pytest.mark.parametrize("version", [4, 6])
async def test_errors_come_back(version: int) -> None:
    """That nobody listens at a port arrives through the NAT at the socket that sent there."""
    async with between() as both:
        with await both.home.datagram(remote_addr=(THERE[version], 9)) as here:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(here, b"anybody?")
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_recv(here, 100)


async def test_traceroute() -> None:
    """A ping that runs out of hops is answered by the router, not by the end."""
    async with between() as both:
        ping = await both.home.run(["ping", "-n", "-c", "1", "-t", "1", "-W", "5", THERE[4]], check=False)
        assert f"From {ROUTER} icmp_seq=1 Time to live exceeded" in ping.stdout.decode()


async def test_path_mtu_discovery() -> None:
    """A kernel that is told of the mtu keeps to it: a connection works without any clamping."""
    async with between(mtu=1300) as both:
        ping = await both.home.run(["ping", "-n", "-c", "1", "-M", "do", "-s", "1400", THERE[4]], check=False)
        assert "mtu = 1300" in ping.stdout.decode()
        assert (await transfer(both, 4))[1] == pattern(500_000)


async def test_clamping() -> None:
    """A kernel whose SYN was clamped sends no longer segments."""
    async with between(False, stages.clamp_mss(1300)) as both:
        listener = both.internet.socket()
        with listener:
            listener.bind((THERE[4], 8080))
            listener.listen()
            _, writer = await both.home.open_connection(THERE[4], 8080)
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            with accepted:
                # Timestamps are in every segment, and take 12 of the 1260.
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1260 - 12
            writer.close()
