"""The switch: its table, its decisions over in-process taps, and a kernel ping across it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import tap_switch

import aiotun
from aiotun.packet import BROADCAST_MAC, Ethernet

from .program import Program, free_of_complaints, namespaces, ping, run

MACS = [bytes((2, 0, 0, 0, 0, number)) for number in range(4)]
MULTICAST = bytes.fromhex("01005e000001")


def frame(source: bytes, destination: bytes, size: int = 46) -> bytes:
    """Return a frame between two stations, with *size* bytes of payload."""
    return Ethernet(destination, source, 0x88B5, bytes(size)).build()


class Rack:
    """A running switch over in-process taps, and the stations plugged into it."""

    def __init__(self, host: aiotun.SoftHost, ports: list[aiotun.Tap]) -> None:
        self.host = host
        self.ports = ports
        self.stations = [host.network_side(port.name) for port in ports]
        self.switch = tap_switch.Switch(ports)

    async def exchange(self, sender: int, sent: bytes) -> list[int]:
        """Send a frame from one station and return the stations it came out at."""
        heard = self.switch.forwarded + self.switch.dropped
        await self.stations[sender].send(sent)
        while self.switch.forwarded + self.switch.dropped == heard:
            await asyncio.sleep(0)
        return self.heard(sent)

    def heard(self, sent: bytes) -> list[int]:
        """Take what waits at the stations, and return those where *sent* is all there is."""
        return [number for number, station in enumerate(self.stations) if waiting(station) == [sent]]


def waiting(station: aiotun.Endpoint) -> list[bytes]:
    """Return the frames that wait at a station, maybe none."""
    try:
        return station.recv_many_nowait()
    except (aiotun.WouldBlock, aiotun.DeviceGone):
        return []


@asynccontextmanager
async def rack(size: int, *mtus: int) -> AsyncIterator[Rack]:
    """Run a switch with *size* ports; *mtus* are those of the first ones."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, aiotun.SoftHost() as host, AsyncExitStack() as stack:
        every = [*mtus, *[1500] * size][:size]
        ports = [await stack.enter_async_context(host.open_tap(mtu=mtu)) for mtu in every]
        made = Rack(host, ports)
        tasks.create_task(made.switch.run())
        yield made


async def test_floods_a_frame_to_an_unknown_station() -> None:
    """A frame for a station never heard of leaves at every port but the one it came in at."""
    async with rack(4) as made:
        assert await made.exchange(0, frame(MACS[0], MACS[1])) == [1, 2, 3]


@pytest.mark.parametrize("group", [BROADCAST_MAC, MULTICAST], ids=["broadcast", "multicast"])
async def test_floods_a_frame_to_a_group(group: bytes) -> None:
    """A frame for many leaves at every other port, however much was learned."""
    async with rack(3) as made:
        await made.exchange(1, frame(MACS[1], MACS[0]))
        assert await made.exchange(0, frame(MACS[0], group)) == [1, 2]


async def test_sends_to_the_port_it_learned() -> None:
    """Once a station was heard, frames for it leave at its port only."""
    async with rack(4) as made:
        await made.exchange(2, frame(MACS[2], MACS[0]))
        assert await made.exchange(0, frame(MACS[0], MACS[2])) == [2]


async def test_never_sends_back_to_where_a_frame_came_from() -> None:
    """A frame between two stations behind one port leaves nowhere."""
    async with rack(2) as made:
        await made.exchange(0, frame(MACS[1], BROADCAST_MAC))
        made.switch.switch([frame(MACS[0], MACS[1])], made.ports[0])
        assert made.heard(frame(MACS[0], MACS[1])) == []


async def test_follows_a_station_that_moved() -> None:
    """A station heard on another port is sent to there."""
    async with rack(3) as made:
        await made.exchange(1, frame(MACS[1], BROADCAST_MAC))
        await made.exchange(2, frame(MACS[1], BROADCAST_MAC))
        assert await made.exchange(0, frame(MACS[0], MACS[1])) == [2]


async def test_a_dead_port_does_not_stop_the_others() -> None:
    """With one port's interface deleted, the other two still reach each other."""
    async with rack(3) as made:
        made.host.destroy(made.ports[2].name)
        await made.exchange(1, frame(MACS[1], BROADCAST_MAC))
        assert await made.exchange(0, frame(MACS[0], MACS[1])) == [1]


async def test_forgets_the_stations_of_a_dead_port() -> None:
    """What was learned on a port that died is flooded again."""
    async with rack(3) as made:
        await made.exchange(2, frame(MACS[2], BROADCAST_MAC))
        made.host.destroy(made.ports[2].name)
        while len(made.switch.ports) == 3:
            await asyncio.sleep(0)
        assert await made.exchange(0, frame(MACS[0], MACS[2])) == [1]


async def test_a_port_that_is_down_loses_its_frames_only() -> None:
    """A flooded frame reaches the ports that are up, and is counted once for the one that is not."""
    async with rack(3) as made:
        made.host.interface(made.ports[1].name).set_up(False)
        await made.exchange(0, frame(MACS[0], BROADCAST_MAC))
        assert (made.switch.forwarded, made.switch.dropped) == (1, 1)


async def test_a_frame_too_long_for_a_port_does_not_take_its_batch_along() -> None:
    """Of a batch, the frames that fit the port's mtu are sent and the others counted."""
    async with rack(2, 1500, 100) as made:
        short, long = frame(MACS[0], BROADCAST_MAC), frame(MACS[0], BROADCAST_MAC, 1000)
        made.switch.switch([short, long, short], made.ports[0])
        assert (waiting(made.stations[1]), made.switch.dropped) == ([short, short], 1)


async def test_bytes_too_short_for_a_frame_are_counted_and_not_learned_from() -> None:
    """What is shorter than an Ethernet header goes nowhere and leaves no trace in the table."""
    async with rack(2) as made:
        made.switch.switch([b"", bytes(13)], made.ports[0])
        assert (made.switch.forwarded, made.switch.dropped, len(made.switch.table)) == (0, 2, 0)


async def test_does_not_learn_a_group_from_a_forged_source() -> None:
    """A frame that claims to come from broadcast does not draw broadcasts to its port."""
    async with rack(3) as made:
        await made.exchange(1, frame(BROADCAST_MAC, MACS[0]))
        assert await made.exchange(0, frame(MACS[0], BROADCAST_MAC)) == [1, 2]


async def test_a_full_port_takes_what_fits() -> None:
    """Frames beyond a port's room are left, none is waited for."""
    async with aiotun.SoftHost() as host, host.open_tap("tap0", queue_length=2):
        port = host.network_side("tap0")  # a port whose room is bounded
        frames = [frame(MACS[0], MACS[1])] * 3
        assert [tap_switch.send_what_fits(port, frames) for _ in range(2)] == [2, 0]


async def test_a_closed_port_takes_nothing() -> None:
    """Sending to a port that was closed meanwhile loses the frames, and raises nothing."""
    async with aiotun.SoftHost() as host:
        port = await host.open_tap()
        await port.aclose()
        assert tap_switch.send_what_fits(port, [frame(MACS[0], MACS[1])]) == 0


async def test_ends_when_every_port_is_closed() -> None:
    """run() returns once no port is left."""
    async with asyncio.timeout(10), aiotun.SoftHost() as host:
        switch = tap_switch.Switch([await host.open_tap(), await host.open_tap()])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(switch.run())
            await asyncio.sleep(0)
            await host.aclose()
        assert switch.ports == []


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_station_not_heard_for_long_is_forgotten() -> None:
    """An entry older than the table's age is not found, and no longer there."""
    clock = Clock()
    table = tap_switch.MacTable(max_age=300, clock=clock)
    async with aiotun.SoftHost() as host, host.open_tap() as port:
        table.learn(MACS[0], port)
        clock.now = 300.5
        assert (table.find(MACS[0]), len(table)) == (None, 0)


async def test_a_station_heard_again_is_kept() -> None:
    """Hearing a station starts its age anew."""
    clock = Clock()
    table = tap_switch.MacTable(max_age=300, clock=clock)
    async with aiotun.SoftHost() as host, host.open_tap() as port:
        table.learn(MACS[0], port)
        clock.now = 200
        table.learn(MACS[0], port)
        clock.now = 400
        assert table.find(MACS[0]) is port


async def test_a_full_table_forgets_the_stalest_station() -> None:
    """A table stays within its bound, at the cost of the station not heard for longest."""
    table = tap_switch.MacTable(limit=3)
    async with aiotun.SoftHost() as host, host.open_tap() as port:
        for mac in (MACS[0], MACS[1], MACS[0], MACS[2], MACS[3]):
            table.learn(mac, port)
        assert [mac for mac in MACS if table.find(mac)] == [MACS[0], MACS[2], MACS[3]]


@pytest.mark.kernel
@pytest.mark.parametrize("address", ["10.9.0.3", "fd00:9::3"])
def test_two_namespaces_ping_each_other_across_the_switch(address: str) -> None:
    """A thousand kernel pings between two of three namespaces all come back through the switch."""
    ports = [f"sw0@{name}=10.9.0.{number}/24" for number, name in enumerate(("red", "green", "blue"), 1)]
    with namespaces("red", "green", "blue"):
        with Program("tap_switch.py", *ports) as program:
            received = ping_between(address)
        assert (received, free_of_complaints(program)) == (1000, [])


def ping_between(address: str) -> int:
    """Ping the third namespace from the first; IPv6 addresses are set here, without duplicate detection."""
    for number, name in enumerate(("red", "green", "blue"), 1):
        run("ip", "-n", name, "address", "add", f"fd00:9::{number}/64", "dev", "sw0", "nodad")
    return ping("red", address, 1000)
