"""The host in this process: names, its interfaces' lives, and the network side."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from ipaddress import ip_interface
from typing import Any

import pytest
from driver.fakes import advance, simulated

from aiotun.driver import Credentials, Family, TapDevice
from aiotun.endpoint import Endpoint, EventKind, Opening, Tap, Tun
from aiotun.errors import DeviceBusy, DeviceClosed, DeviceDown, DeviceGone
from aiotun.host import SoftHost
from aiotun.queueing import Fifo, TokenBucket
from aiotun.testing.expect import parked, turns

IPV4 = bytes.fromhex("4500002800000000400100007f0000017f000001") + bytes(20)
IPV6 = bytes.fromhex("6000000000003b40").ljust(40, b"\0")
FRAME = bytes.fromhex("0200000000010200000000020800") + IPV4

Open = Callable[..., Opening[Any]]

both = pytest.mark.parametrize(
    ("open", "kind"),
    [pytest.param(SoftHost.open_tun, "tun", id="tun"), pytest.param(SoftHost.open_tap, "tap", id="tap")],
)


def numbered(count: int) -> list[bytes]:
    return [IPV4[:-2] + number.to_bytes(2, "big") for number in range(count)]


def unit(kind: str) -> bytes:
    return FRAME if kind == "tap" else IPV4


# --- names ----------------------------------------------------------------------------------------


@both
async def test_names_are_numbered(open: Open, kind: str) -> None:
    """Without a name an interface is called after its kind, with the next number."""
    async with SoftHost() as host:
        names = [(await open(host)).name for _ in range(3)]
    assert names == [f"{kind}0", f"{kind}1", f"{kind}2"]


async def test_the_lowest_free_number() -> None:
    """A number that became free is given again first."""
    async with SoftHost() as host:
        opened = [await host.open_tun("vpn%d") for _ in range(3)]
        await opened[1].aclose()
        assert (await host.open_tun("vpn%d")).name == "vpn1"


async def test_a_number_taken_by_name() -> None:
    """A number that somebody took by name is passed over."""
    async with SoftHost() as host:
        await host.open_tap("tun0")
        assert (await host.open_tun()).name == "tun1"


async def test_a_name_of_ones_own() -> None:
    """An interface is called as it was asked for."""
    async with SoftHost() as host, host.open_tun("vpn-home") as tun:
        assert tun.name == "vpn-home"


@both
@pytest.mark.parametrize("name", ["", "sixteen-bytes-xx", "a/b", "a%s"])
async def test_a_bad_name(open: Open, kind: str, name: str) -> None:
    """A name that no interface may have is refused, and nothing is made."""
    async with SoftHost() as host:
        with pytest.raises(ValueError, match="cannot name an interface"):
            await open(host, name)
        assert not host.interfaces


@both
async def test_a_busy_name(open: Open, kind: str) -> None:
    """A name that is open is refused, naming the process that has it; the first is undisturbed."""
    async with SoftHost() as host, host.open_tun("busy0") as tun:
        with pytest.raises(DeviceBusy, match=f"busy0: held by process {os.getpid()}"):
            await open(host, "busy0", mtu=1400, address="10.0.0.1/24")
        await tun.send(IPV4)
        assert (tun.mtu, host.interface("busy0").addresses) == (1500, [])


async def test_hosts_know_nothing_of_each_other() -> None:
    """Two hosts may have interfaces of one name."""
    async with SoftHost() as one, SoftHost() as other, one.open_tun("tun0"), other.open_tun("tun0"):
        assert one.interface("tun0") is not other.interface("tun0")


# --- opening --------------------------------------------------------------------------------------


@both
async def test_options(open: Open, kind: str) -> None:
    """Addresses, mtu and queue length are the interface's."""
    async with SoftHost() as host:
        async with open(host, address=["10.0.0.1/24", "fd00::1/64"], mtu=1400, queue_length=7):
            interface = host.interface(f"{kind}0")
            assert interface.addresses == [ip_interface("10.0.0.1/24"), ip_interface("fd00::1/64")]
            assert (interface.mtu, interface.snd.max_packets, interface.up) == (1400, 7, True)


async def test_a_tap_has_its_hardware_address() -> None:
    """A tap is made with the hardware address asked for."""
    async with SoftHost() as host, host.open_tap(mac="02:00:00:00:00:01"):
        tap = host.interface("tap0")
        assert isinstance(tap, TapDevice) and tap.mac == bytes.fromhex("020000000001")


@both
async def test_kinds(open: Open, kind: str) -> None:
    """open_tun() gives a Tun, open_tap() a Tap."""
    async with SoftHost() as host, open(host) as endpoint:
        assert type(endpoint) is (Tap if kind == "tap" else Tun)


@both
async def test_left_down(open: Open, kind: str) -> None:
    """With up=False the interface stays down."""
    async with SoftHost() as host, open(host, up=False) as endpoint:
        with pytest.raises(DeviceDown):
            await endpoint.send(unit(kind))


@both
async def test_when_down(open: Open, kind: str) -> None:
    """when_down="raise" makes receiving from a down interface raise."""
    async with SoftHost() as host, open(host, up=False, when_down="raise") as endpoint:
        with pytest.raises(DeviceDown):
            await endpoint.recv()


@both
@pytest.mark.parametrize("options", [{"mtu": 71}, {"queue_length": 0}, {"address": "10.0.0.1"}])
async def test_a_failed_opening_leaves_nothing(open: Open, kind: str, options: dict[str, Any]) -> None:
    """A value that cannot be is refused, and no interface is left."""
    async with SoftHost() as host:
        with pytest.raises(ValueError):
            await open(host, **options)
        assert not host.interfaces


async def test_a_bad_hardware_address() -> None:
    """A hardware address that is none is refused, and no interface is left."""
    async with SoftHost() as host:
        with pytest.raises(ValueError):
            await host.open_tap(mac="02:00")
        assert not host.interfaces


async def test_repr() -> None:
    """The repr names the interfaces."""
    async with SoftHost() as host:
        assert repr(host) == "<SoftHost without interfaces>"
        await host.open_tun()
        await host.open_tap()
        assert repr(host) == "<SoftHost tun0 tap0>"


async def test_interfaces_are_a_live_view() -> None:
    """interfaces shows what there is now, and cannot be changed."""
    async with SoftHost() as host:
        view = host.interfaces
        async with host.open_tun():
            assert list(view) == ["tun0"]
        assert list(view) == []
        with pytest.raises(TypeError):
            view["tun0"] = None  # type: ignore[index]


async def test_no_such_interface() -> None:
    """Asking for an interface that is not there raises DeviceGone, in every form."""
    async with SoftHost() as host:
        for ask in (host.interface, host.network_side, host.destroy):
            with pytest.raises(DeviceGone, match="tun0: no such interface"):
                ask("tun0")


# --- the end of an interface ----------------------------------------------------------------------


@both
async def test_the_interface_goes_with_its_endpoint(open: Open, kind: str) -> None:
    """When the endpoint is closed its interface is deleted, and the name is free."""
    async with SoftHost() as host:
        for _ in range(2):
            async with open(host, "again0"):
                pass
            assert not host.interfaces


@both
async def test_destroyed_under_a_reader(open: Open, kind: str) -> None:
    """A receiver that waits when its interface is destroyed gets DeviceGone."""
    async with SoftHost() as host, open(host, "if0") as endpoint:
        task = await parked(endpoint.recv())
        host.destroy("if0")
        with pytest.raises(DeviceGone, match="if0: the interface was deleted"):
            await task


async def test_destroyed_once() -> None:
    """A destroyed interface is no longer there to be destroyed."""
    async with SoftHost() as host, host.open_tun("if0"):
        host.destroy("if0")
        with pytest.raises(DeviceGone):
            host.destroy("if0")


async def test_readable_of_a_destroyed_interface() -> None:
    """readable() of an endpoint that raises when down says gone, not down, of a destroyed interface."""
    async with SoftHost() as host, host.open_tun("if0", when_down="raise") as tun:
        host.destroy("if0")
        with pytest.raises(DeviceGone):
            await tun.readable()


async def test_events_of_a_destroyed_interface() -> None:
    """events() first asked for after the destruction tells it and ends."""
    async with SoftHost() as host, host.open_tun("if0") as tun:
        host.destroy("if0")
        assert [event.kind async for event in tun.events()] == [EventKind.GONE]


@both
async def test_the_name_of_a_destroyed_interface_is_free(open: Open, kind: str) -> None:
    """After destruction the name can be opened again, though the old endpoint is still open."""
    async with SoftHost() as host, open(host, "if0") as old:
        host.destroy("if0")
        async with open(host, "if0") as new:
            await new.send(unit(kind))
            with pytest.raises(DeviceGone):
                await old.send(unit(kind))


async def test_closing_the_old_leaves_the_new() -> None:
    """Closing an endpoint whose interface was destroyed leaves a new one of the name alone."""
    async with SoftHost() as host:
        old = await host.open_tun("if0")
        host.destroy("if0")
        new = await host.open_tun("if0")
        await old.aclose()
        assert host.interface("if0").up
        await new.send(IPV4)


async def test_the_host_closes_old_and_new() -> None:
    """Closing the host closes both endpoints of a name that was destroyed and opened again."""
    host = SoftHost()
    old = await host.open_tun("if0")
    host.destroy("if0")
    new = await host.open_tun("if0")
    await host.aclose()
    assert old.closed and new.closed


# --- the network side -----------------------------------------------------------------------------


@both
async def test_both_directions(open: Open, kind: str) -> None:
    """What one side sends the other receives."""
    async with SoftHost() as host, open(host, "if0") as endpoint, host.network_side("if0") as side:
        await endpoint.send(unit(kind))
        assert await side.recv() == unit(kind)
        await side.send(unit(kind))
        assert await endpoint.recv() == unit(kind)


async def test_sending_waits_while_the_queue_is_full() -> None:
    """The network side's send waits while the send queue is full, and loses nothing."""
    async with SoftHost() as host, host.open_tun(queue_length=5) as tun, host.network_side("tun0") as side:
        task = await parked(side.send_many(numbered(200)))
        received: list[bytes] = []
        while len(received) < 200:
            received += await tun.recv_many(3)
        await task
        assert received == numbered(200)
        assert host.interface("tun0").counters().dropped == {}


async def test_one_network_side() -> None:
    """A second network side of one interface is refused."""
    async with SoftHost() as host, host.open_tun(), host.network_side("tun0"):
        with pytest.raises(DeviceBusy, match="tun0: its network side is taken"):
            host.network_side("tun0")


async def test_the_next_network_side() -> None:
    """A closed network side leaves its place to another."""
    async with SoftHost() as host, host.open_tun() as tun:
        async with host.network_side("tun0"):
            pass
        async with host.network_side("tun0") as side:
            await tun.send(IPV4)
            assert await side.recv() == IPV4


async def test_without_a_stack() -> None:
    """What the application sends while there is no network side is dropped and counted."""
    async with SoftHost() as host, host.open_tun() as tun:
        await tun.send_many(numbered(3))
        assert host.interface("tun0").counters().dropped == {"no_protocol": 3}


async def test_after_the_stack_left() -> None:
    """What the application sends after the network side was closed is dropped and counted."""
    async with SoftHost() as host, host.open_tun() as tun:
        await host.network_side("tun0").aclose()
        await tun.send(IPV4)
        assert host.interface("tun0").counters().dropped == {"no_protocol": 1}


async def test_a_network_side_is_of_its_interface() -> None:
    """The network side of a destroyed interface hears nothing of a new one of the name, whose place is free."""
    async with SoftHost() as host:
        await host.open_tun("if0")
        old = host.network_side("if0")
        host.destroy("if0")
        new = await host.open_tun("if0")
        side = host.network_side("if0")
        await new.send(IPV4)
        assert await side.recv() == IPV4
        with pytest.raises(DeviceGone):
            old.recv_nowait()


async def test_closing_the_old_network_side_leaves_the_new() -> None:
    """Closing the network side of a destroyed interface leaves that of a new one of the name."""
    async with SoftHost() as host:
        await host.open_tun("if0")
        old = host.network_side("if0")
        host.destroy("if0")
        new = await host.open_tun("if0")
        side = host.network_side("if0")
        await old.aclose()
        await new.send(IPV4)
        assert await side.recv() == IPV4


async def test_closing_the_endpoint_ends_the_network_side() -> None:
    """A receiver on the network side gets DeviceGone when the application closes the interface."""
    async with SoftHost() as host:
        tun = await host.open_tun()
        task = await parked(host.network_side("tun0").recv())
        await tun.aclose()
        with pytest.raises(DeviceGone):
            await task


# --- closing the host -----------------------------------------------------------------------------


async def open_four(host: SoftHost) -> list[Endpoint]:
    tun, tap = await host.open_tun(), await host.open_tap()
    return [tun, tap, host.network_side("tun0"), host.network_side("tap0")]


async def test_closing_the_host_closes_all() -> None:
    """Closing the host closes every endpoint and network side and deletes every interface."""
    async with SoftHost() as host:
        endpoints = await open_four(host)
    assert all(endpoint.closed for endpoint in endpoints)
    assert not host.interfaces


async def test_closing_the_host_ends_waiting() -> None:
    """Tasks that wait in endpoints of a host that is closed get DeviceClosed."""
    async with SoftHost() as host:
        tasks = [await parked(endpoint.recv()) for endpoint in [await host.open_tun(), await host.open_tap()]]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [DeviceClosed] * 2


@pytest.mark.parametrize("ticks", [1, 2, 3, 4])
async def test_a_cancelled_close_closes_all(ticks: int) -> None:
    """However closing the host is cancelled, every endpoint is closed once it ends."""
    host = SoftHost()
    endpoints = await open_four(host)
    task = asyncio.create_task(host.aclose())
    await turns(ticks)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all(endpoint.closed for endpoint in endpoints)


async def test_closing_the_host_is_idempotent() -> None:
    """The host may be closed again."""
    host = SoftHost()
    await host.open_tun()
    await host.aclose()
    await host.aclose()


@both
async def test_a_closed_host(open: Open, kind: str) -> None:
    """Opening on a closed host raises DeviceClosed."""
    async with SoftHost() as host:
        pass
    with pytest.raises(DeviceClosed, match="the host is closed"):
        await open(host)


# --- interfaces made by hand ----------------------------------------------------------------------


@both
async def test_an_interface_made_by_hand(open: Open, kind: str) -> None:
    """An interface that create() made is opened with what is asked for, as it is for the rest, and outlives it."""
    async with SoftHost() as host:
        device = host.create(f"{kind}3")
        async with open(host, f"{kind}3"):
            assert (device.mtu, device.snd.max_packets, device.up) == (1500, 50, True)
        async with open(host, f"{kind}3", mtu=1400, address="10.0.0.1/24", queue_length=7) as endpoint:
            assert host.interface(f"{kind}3") is device
            assert host.interface(endpoint) is device
            assert (device.mtu, device.snd.max_packets, device.up) == (1400, 7, True)
            assert device.addresses == [ip_interface("10.0.0.1/24")]
        assert (host.interface(f"{kind}3"), device.is_open) == (device, False)


async def test_the_mtu_stays_unless_asked_for() -> None:
    """Without an mtu an interface made by hand keeps its own, and a new one has 1500."""
    async with SoftHost() as host:
        host.create("tun0").set_mtu(1300)
        async with host.open_tun("tun0") as old, host.open_tun("tun1") as new:
            assert (old.mtu, new.mtu) == (1300, 1500)


@pytest.mark.parametrize(
    ("open", "other", "text"),
    [
        (SoftHost.open_tun, "tap0", "tap0: the interface exists, and is a TapDevice"),
        (SoftHost.open_tap, "tun0", "tun0: the interface exists, and is a TunDevice"),
    ],
)
async def test_an_interface_of_the_other_kind(open: Open, other: str, text: str) -> None:
    """An interface of the other driver is refused, and stays as it was."""
    async with SoftHost() as host:
        device = host.create(other)
        with pytest.raises(DeviceBusy, match=text):
            await open(host, other, mtu=1400)
        assert (device.is_open, device.mtu, device.up) == (False, 1500, False)


async def test_a_device_that_a_program_has() -> None:
    """A device opened by its node is refused with the process that has it."""
    async with SoftHost() as host:
        host.dev["tun0"].open(Credentials(pid=4242))
        with pytest.raises(DeviceBusy, match="tun0: held by process 4242"):
            await host.open_tun("tun0")


@both
@pytest.mark.parametrize("options", [{"mtu": 71}, {"address": "10.0.0.1"}])
async def test_a_failed_opening_leaves_what_was(open: Open, kind: str, options: dict[str, Any]) -> None:
    """A refused value leaves an interface made by hand closed and down, to be opened again."""
    async with SoftHost() as host:
        device = host.create(f"{kind}0")
        with pytest.raises(ValueError):
            await open(host, f"{kind}0", **options)
        assert (device.is_open, device.up, device.addresses, device.mtu) == (False, False, [], 1500)
        await open(host, f"{kind}0")


async def test_left_down_as_it_was() -> None:
    """With up=False an interface that is up stays so."""
    async with SoftHost() as host:
        device = host.create("tun0")
        device.set_up(True)
        async with host.open_tun("tun0", up=False):
            assert device.up


# --- what is underneath ---------------------------------------------------------------------------


@both
async def test_the_default_queue(open: Open, kind: str) -> None:
    """An endpoint's interface has room for 1000 packets."""
    async with SoftHost() as host, open(host):
        assert host.interface(f"{kind}0").snd.max_packets == 1000


@both
async def test_a_queue_of_ones_own(open: Open, kind: str) -> None:
    """The packets wait in the discipline that was given, though it is empty."""
    queue = TokenBucket(8000, 1500)
    async with SoftHost() as host, open(host, queue=queue):
        assert host.interface(f"{kind}0").snd is queue


@both
@simulated
async def test_a_rate_limited_endpoint(open: Open, kind: str) -> None:
    """Receiving waits until the queue releases the packet."""
    size = len(unit(kind))
    async with SoftHost() as host, open(host, queue=TokenBucket(8 * size, size)) as endpoint:
        host.interface(f"{kind}0").output([unit(kind)] * 2)
        assert await endpoint.recv() == unit(kind)
        task = await parked(endpoint.recv())
        advance(0.99)
        await turns()
        early = task.done()
        advance(0.01)
        assert (early, await task) == (False, unit(kind))


async def test_an_endpoint_carries_both_families() -> None:
    """An endpoint's tun carries IPv4 and IPv6; the drivers' default is there again once it is closed."""
    async with SoftHost() as host:
        device = host.create("tun0")
        async with host.open_tun("tun0") as tun:
            device.output([IPV4, IPV6])
            assert await tun.recv_many() == [IPV4, IPV6]
        device.open()
        device.set_up(True)
        assert list(device.output([IPV4, IPV6])) == [IPV4]


async def test_the_stack_is_one() -> None:
    """Routes, neighbors and protocols are those of the host's one stack."""
    async with SoftHost() as host:
        assert (host.routes, host.neighbors) == (host.stack.routes, host.stack.neighbors)
        queue = host.protocol(Family.INET, limit=1)
        assert host.stack.netisr.queues == {Family.INET: queue}
        assert queue.enqueue([IPV4, IPV4]) == 1


async def test_a_protocol_has_room_for_1000() -> None:
    """A protocol queue holds 1000 packets unless asked for more."""
    async with SoftHost() as host:
        assert host.protocol(Family.INET).enqueue([IPV4] * 1001) == 1000


async def test_sending_by_route() -> None:
    """What the host sends leaves by the route to its destination; several are counted."""
    async with SoftHost() as host, host.open_tun(address="127.0.0.0/31") as tun:
        host.send(IPV4)
        assert host.send_many([IPV4, FRAME, IPV4]) == 2
        assert await tun.recv_many() == [IPV4] * 3


async def test_pinging_nobody() -> None:
    """A ping that is not answered within its time is a TimeoutError."""
    async with SoftHost() as host, host.open_tun(address="10.0.0.1/24") as tun:
        with pytest.raises(TimeoutError):
            await host.ping("10.0.0.2", size=100, timeout=0)
        assert len(await tun.recv()) == 128


async def test_pinging_oneself() -> None:
    """The host answers itself."""
    async with SoftHost() as host, host.open_tun(address="10.0.0.1/24"):
        assert 0 <= await host.ping("10.0.0.1") < 1


async def test_the_end_of_the_stack() -> None:
    """Closing the host closes its protocols and its packet filters."""
    async with SoftHost() as host:
        queue = host.protocol(Family.INET)
        capture = host.create("tun0").bpf.attach()
    with pytest.raises(DeviceClosed):
        queue.recv_nowait()
    with pytest.raises(DeviceGone):
        capture.recv_nowait()


async def test_a_created_tap_takes_the_options_of_its_opening() -> None:
    """Hardware address and discipline are those asked for."""
    queue = Fifo(3)
    async with SoftHost() as host:
        tap = host.create("tap0")
        async with host.open_tap("tap0", mac="02:00:00:00:00:07", queue=queue):
            assert isinstance(tap, TapDevice)
            assert (tap.mac, tap.snd) == (bytes.fromhex("020000000007"), queue)


@pytest.mark.parametrize("queue", [Fifo, [], 100])
async def test_a_queue_that_is_none(queue: Any) -> None:
    """What is no discipline is refused by name, and no interface is left behind."""
    async with SoftHost() as host:
        with pytest.raises(TypeError, match="^tun0: a queue is a discipline such as Fifo"):
            await host.open_tun(queue=queue)
        assert not host.interfaces
        async with host.open_tun() as tun:
            with pytest.raises(TypeError, match="^tun0: a queue is a discipline such as Fifo"):
                host.interface(tun).snd = queue


async def test_a_closed_host_makes_nothing() -> None:
    """create(), a node, bridge() and protocol() of a closed host raise DeviceClosed."""
    async with SoftHost() as host:
        pass
    for make in (
        lambda: host.create("tun0"),
        lambda: host.dev["tap"].open(),
        lambda: host.bridge("br0"),
        lambda: host.protocol(2),
    ):
        with pytest.raises(DeviceClosed, match="^the host is closed$"):
            make()


async def test_a_tap_is_in_one_bridge() -> None:
    """A tap that is in a bridge is refused by another; one name may stand for a list of one."""
    async with SoftHost() as host, host.open_tap("tap0"):
        host.bridge("br0", "tap0")
        with pytest.raises(DeviceBusy, match="^br1: tap0 is a member of br0$"):
            host.bridge("br1", ["tap0"])


async def test_a_refused_opening_takes_no_unit() -> None:
    """An unprivileged opener of the cloning node uses up nothing."""
    async with SoftHost() as host:
        for _ in range(2):
            with pytest.raises(PermissionError, match="tun: a tun is opened by root, not by user 66$"):
                host.dev["tun"].open(Credentials(uid=66))
        assert host.dev["tun"].open().name == "tun4"
