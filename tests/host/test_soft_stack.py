"""The stack side of SoftHost, over the real drivers: ping, protocols, neighbors, bridges, routes."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from ipaddress import ip_interface

import pytest

import aiotun
from aiotun.driver import Family, Request
from aiotun.host.output import Filtered
from aiotun.packet import ICMP, Ethernet, IPv4, IPv6, Protocol, echo_reply
from aiotun.pipeline import Batch
from aiotun.queueing import Fifo, TokenBucket
from aiotun.testing.expect import parked

DATAGRAM = IPv4("10.8.0.2", "10.8.0.1", Protocol.UDP, b"\x30\x39\x30\x3a\x00\x0a\x00\x00hi").build()


@asynccontextmanager
async def running(*coroutines: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run tasks for the length of a block."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answer(tun: aiotun.Tun) -> None:
    """What an application behind a tun does: answer every ping."""
    async for packet in tun:
        reply = echo_reply(packet)
        if reply is not None:
            await tun.send(reply)


async def join(one: aiotun.Endpoint, other: aiotun.Endpoint) -> None:
    async for batch in one.batches():
        await other.send_many(batch)


@asynccontextmanager
async def two_hosts() -> AsyncIterator[tuple[aiotun.SoftHost, aiotun.SoftHost]]:
    """Two hosts with a wire between their taps."""
    async with aiotun.SoftHost() as here, aiotun.SoftHost() as there:
        one = await here.open_tap("tap0", address=["10.0.0.1/24", "fd00::1/64"])
        other = await there.open_tap("tap0", address=["10.0.0.2/24", "fd00::2/64"])
        async with running(join(one, other), join(other, one)):
            yield here, there


@pytest.mark.parametrize("address", ["10.8.0.2", "fd08::2"])
async def test_a_ping_goes_out_by_the_tun(address: str) -> None:
    """The application behind a tun is pinged over both IP versions."""
    async with aiotun.SoftHost() as host, host.open_tun(address=["10.8.0.1/24", "fd08::1/64"]) as tun:
        async with running(answer(tun)):
            assert await host.ping(address) > 0


@pytest.mark.parametrize("address", ["10.8.0.1", "fd08::1"])
async def test_a_host_answers_pings_to_itself(address: str) -> None:
    """An address of the host's own is reached without any wire."""
    async with aiotun.SoftHost() as host, host.open_tun(address=["10.8.0.1/24", "fd08::1/64"]):
        assert await host.ping(address) > 0


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2"])
async def test_hosts_find_each_other_on_a_wire(address: str) -> None:
    """ARP and neighbor discovery resolve the address, and the ping is answered by the other host's stack."""
    async with two_hosts() as (here, _):
        assert await here.ping(address) > 0
        assert [str(neighbor.address) for neighbor in here.neighbors.table()] == [address]


async def test_nobody_answers() -> None:
    """A ping that nobody answers is a TimeoutError with the address in it."""
    async with aiotun.SoftHost() as host, host.open_tun(address="10.8.0.1/24"):
        with pytest.raises(TimeoutError, match="^10.8.0.9: no answer within 0.001 s$"):
            await host.ping("10.8.0.9", timeout=0.001)


async def test_closing_the_host_ends_its_pings() -> None:
    """A ping that waits when the host is closed ends at once, and a later one does not begin."""
    async with aiotun.SoftHost() as host:
        await host.open_tun(address="10.8.0.1/24")
        ping = await parked(host.ping("10.8.0.9", timeout=60.0))
        await host.aclose()
        for waits in (ping, host.ping("10.8.0.9")):
            with pytest.raises(aiotun.DeviceClosed, match="^the host is closed$"):
                await waits


async def test_there_is_no_route() -> None:
    """A destination that no route leads to is ENETUNREACH."""
    async with aiotun.SoftHost() as host, host.open_tun(address="10.8.0.1/24"):
        with pytest.raises(aiotun.DeviceError, match="^no route to 10.9.9.9$") as caught:
            await host.ping("10.9.9.9")
        assert caught.value.errno == errno.ENETUNREACH


async def test_a_packet_leaves_by_the_longest_prefix() -> None:
    """Of two routes the longer one is taken."""
    async with aiotun.SoftHost() as host, host.open_tun("tun0", address="10.1.0.1/16") as wide:
        async with host.open_tun("tun1", address="10.1.2.1/24") as narrow:
            to_narrow = IPv4("10.1.2.1", "10.1.2.9", Protocol.UDP, b"").build()
            to_wide = IPv4("10.1.0.1", "10.1.3.9", Protocol.UDP, b"").build()
            assert host.send_many([to_narrow, to_wide]) == 2
            assert (await narrow.recv(), await wide.recv()) == (to_narrow, to_wide)


async def test_a_route_can_be_added() -> None:
    """A packet for a network behind the tun goes there once there is a route."""
    packet = IPv4("10.8.0.1", "192.0.2.7", Protocol.UDP, b"").build()
    async with aiotun.SoftHost() as host, host.open_tun("tun0", address="10.8.0.1/24") as tun:
        host.routes.add("192.0.2.0/24", "tun0")
        host.send(packet)
        assert await tun.recv() == packet


async def test_an_address_brings_its_route_and_takes_it_away() -> None:
    """The route to an interface's network comes and goes with the address."""
    async with aiotun.SoftHost() as host, host.open_tun("tun0"):
        interface = host.interface("tun0")
        interface.add_address(ip_interface("10.55.0.1/24"))
        route = host.routes.lookup("10.55.0.9")
        assert route is not None and route.interface == "tun0"
        interface.remove_address(ip_interface("10.55.0.1/24"))
        assert host.routes.lookup("10.55.0.9") is None


async def test_the_routes_go_with_the_interface() -> None:
    """A deleted interface leaves no route behind."""
    async with aiotun.SoftHost() as host:
        async with host.open_tun("tun0", address="10.55.0.1/24"):
            host.routes.add("192.0.2.0/24", "tun0")
        assert list(host.routes) == []


@pytest.mark.parametrize(
    ("family", "packet"),
    [(socket.AF_INET, DATAGRAM), (socket.AF_INET6, IPv6("fd08::2", "fd08::1", Protocol.UDP, b"12345678").build())],
)
async def test_a_protocol_receives_what_enters(family: int, packet: bytes) -> None:
    """What the stack does not answer itself goes to whoever registered the family."""
    async with aiotun.SoftHost() as host, host.open_tun() as tun:
        with host.protocol(family) as protocol:
            await tun.send(packet)
            assert await protocol.recv() == packet


async def test_a_protocol_of_its_own() -> None:
    """A family that is neither IPv4 nor IPv6 enters by registration (row T11)."""
    async with aiotun.SoftHost() as host:
        device = host.create("tun0")
        device.open()
        device.set_up(True)
        device.ioctl(Request.TUNSIFHEAD, 1)
        with host.protocol(Family.IPX) as protocol:
            device.write(int(Family.IPX).to_bytes(4, "big") + b"ipx")
            assert protocol.recv_nowait() == b"ipx"


async def test_the_network_side_sees_everything() -> None:
    """While somebody has the network side, the host's own stack answers nothing."""
    async with aiotun.SoftHost() as host, host.open_tun("tun0", address="10.8.0.1/24") as tun:
        side = host.network_side("tun0")
        await tun.send(DATAGRAM)
        assert await side.recv() == DATAGRAM
        assert host.stack.statistics().received == 0


async def test_a_bridge_joins_taps() -> None:
    """A broadcast that enters by one member leaves by the others, and not by its own."""
    frame = Ethernet(b"\xff" * 6, b"\x02\0\0\0\0\x09", 0x800, bytes(50)).build()
    async with aiotun.SoftHost() as host:
        taps = [await host.open_tap(f"tap{number}") for number in range(3)]
        host.bridge("br0", ["tap0", "tap1", "tap2"])
        await taps[0].send(frame)
        assert [await taps[1].recv(), await taps[2].recv()] == [frame, frame]
        with pytest.raises(aiotun.WouldBlock):
            taps[0].recv_nowait()


async def test_a_bridges_name_is_taken_while_it_has_members() -> None:
    """A second bridge of the name is refused until the first is closed."""
    async with aiotun.SoftHost() as host, host.open_tap("tap0"):
        first = host.bridge("br0", ["tap0"])
        with pytest.raises(aiotun.DeviceBusy, match="^br0: the bridge exists, with 1 members$"):
            host.bridge("br0")
        first.close()
        assert host.bridge("br0", ["tap0"]) is not first


async def test_no_packet_disappears_in_the_stack() -> None:
    """received + offered == used + delivered + looped + sent + waiting + dropped, after a bit of everything."""
    async with two_hosts() as (here, there):
        await here.ping("10.0.0.2")
        await there.ping("fd00::1")
        here.send_many([DATAGRAM, b"", b"\x45", IPv4("10.0.0.1", "10.0.0.77", Protocol.UDP, b"").build()])
        assert balanced(here) and balanced(there)


def stumble(batch: Batch) -> Batch:
    raise RuntimeError("a fault")


def balanced(host: aiotun.SoftHost) -> bool:
    count = host.stack.statistics()
    went = count.used + count.delivered + count.looped + count.sent + count.waiting
    return count.received + count.offered == went + sum(count.dropped.values())


async def test_a_fault_of_a_stage_surfaces_once_the_others_went() -> None:
    """A stage that raises loses its interface's packets, counted as fault; those of other interfaces go."""
    async with aiotun.SoftHost() as host, host.open_tun("tun0", address="10.1.0.1/24"):
        async with host.open_tun("tun1", address="10.2.0.1/24") as other:
            host.interface("tun0").output.insert_before("enqueue", stumble)
            packets = [IPv4("10.1.0.1", f"10.{net}.0.9", Protocol.UDP, b"").build() for net in (1, 2)]
            with pytest.raises(RuntimeError, match="^a fault$"):
                host.send_many(packets)
            assert other.recv_nowait() == packets[1]
            assert host.stack.statistics().dropped == {"fault": 1}
            assert balanced(host)


async def test_a_fault_on_the_way_of_an_answer_surfaces_at_the_writer() -> None:
    """A stage that raises over the stack's answer is heard of by whoever sent the question; nothing is uncounted."""
    async with aiotun.SoftHost() as host, host.open_tun("tun0", address="10.1.0.1/24") as tun:
        host.interface("tun0").output.insert_before("enqueue", stumble)
        request = IPv4("10.1.0.9", "10.1.0.1", Protocol.ICMP, ICMP.echo_request(1, 1, b"").build()).build()
        with pytest.raises(RuntimeError, match="^a fault$"):
            await tun.send(request)
        assert host.stack.statistics().dropped == {"fault": 1}
        assert balanced(host)


async def test_a_filtered_packet_says_so() -> None:
    """A packet that a stage of the user's drops is EPERM to its sender, and counted as filtered."""
    async with aiotun.SoftHost() as host, host.open_tun("tun0", address="10.1.0.1/24"):
        host.interface("tun0").output.insert_before("enqueue", lambda batch: (), name="nothing passes")
        with pytest.raises(Filtered, match="^tun0: a stage of its output path dropped the packet$") as caught:
            await host.ping("10.1.0.9")
        assert caught.value.errno == errno.EPERM
        assert host.send_many([IPv4("10.1.0.1", "10.1.0.9", Protocol.UDP, b"").build()]) == 0
        assert host.stack.statistics().dropped == {"filtered": 2}
        assert host.interface("tun0").counters().dropped == {"nothing passes": 2}


async def test_a_family_the_device_does_not_carry_is_named() -> None:
    """The sender hears the driver's own reason: a tun in its default mode carries IPv4 only."""
    async with aiotun.SoftHost() as host:
        tun = host.create("tun0")
        tun.open()
        tun.set_address(ip_interface("fd08::1/64"))
        with pytest.raises(aiotun.UnsupportedFamily):
            await host.ping("fd08::9")
        assert host.stack.statistics().dropped == {"unsupported_family": 1}


def test_a_rate_limit_goes_on_in_the_next_loop() -> None:
    """A reader of a second event loop gets what the first loop's timer would have released."""
    packet = bytes([0x45]) + bytes(199)
    tuns: list[aiotun.Tun] = []
    host = aiotun.SoftHost()

    async def first() -> None:
        tun = await host.open_tun("tun0", queue=TokenBucket(8_000_000, 200, Fifo(100)))
        tuns.append(tun)
        host.interface("tun0").output([packet] * 3)
        await tun.recv()
        task = asyncio.create_task(tun.recv())
        await asyncio.sleep(0)
        task.cancel()

    async def second() -> None:
        assert [await tuns[0].recv(), await tuns[0].recv()] == [packet] * 2
        await host.aclose()

    asyncio.run(first())
    asyncio.run(second())


async def test_an_opening_that_is_refused_leaves_nothing() -> None:
    """A wrong when_down leaves no interface, and the name is free."""
    async with aiotun.SoftHost() as host:
        with pytest.raises(ValueError):
            await host.open_tun("tun0", when_down="x")  # type: ignore[arg-type]
        assert not host.interfaces
        await host.open_tun("tun0")
