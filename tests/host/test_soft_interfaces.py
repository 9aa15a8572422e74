"""The interfaces of an in-process host: creating and destroying, numbers, and where what enters goes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from aiotun.driver import Family, TapDevice, TunDevice
from aiotun.endpoint import EventKind
from aiotun.errors import DeviceBusy, DeviceError, DeviceGone
from aiotun.host import SoftHost
from aiotun.testing.expect import parked

from .fakes import datagram, in_frame

IPV4 = datagram("10.0.0.1", "10.0.0.2")
ANOTHER = datagram("10.0.0.1", "10.0.0.2", b"another")
IPV6 = datagram("fd00::1", "fd00::2")


@pytest.fixture
def host() -> SoftHost:
    return SoftHost()


def use(host: SoftHost, name: str) -> TunDevice | TapDevice:
    """An interface made by hand, open and up."""
    device = host.create(name)
    device.open()
    device.set_up(True)
    assert isinstance(device, TunDevice | TapDevice)
    return device


# --- create ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("tun4", TunDevice), ("tap4", TapDevice)])
def test_create(host: SoftHost, name: str, kind: type) -> None:
    """create() makes an interface of the driver and the unit in its name: not open, and down."""
    device = host.create(name)
    assert (type(device), device.name, device.is_open, device.up) == (kind, name, False, False)
    assert host.interfaces == {name: device}


@pytest.mark.parametrize("driver", ["tun", "tap"])
def test_create_without_a_unit(host: SoftHost, driver: str) -> None:
    """create() without a unit takes the lowest that is free."""
    names = [host.create(name).name for name in (f"{driver}1", driver, driver)]
    host.destroy(f"{driver}0")
    assert [*names, host.create(driver).name] == [f"{driver}1", f"{driver}0", f"{driver}2", f"{driver}0"]


def test_units_are_of_their_driver(host: SoftHost) -> None:
    """A unit of one driver is none of the other's."""
    assert [host.create(name).name for name in ("tun", "tap", "tun")] == ["tun0", "tap0", "tun1"]


@pytest.mark.parametrize("name", ["gif0", "tun01", "tun-1", "Tun0", "tun0x", "tun%d", "0", ""])
def test_no_such_driver(host: SoftHost, name: str) -> None:
    """create() of a name of no driver is EINVAL, and says which drivers there are."""
    with pytest.raises(DeviceError, match="no driver '.*'; there are tun, tap") as caught:
        host.create(name)
    assert (caught.value.errno, dict(host.interfaces)) == (errno.EINVAL, {})


@pytest.mark.parametrize("driver", ["tun", "tap"])
def test_the_last_unit(host: SoftHost, driver: str) -> None:
    """The last unit is 1048574; the next is ENXIO."""
    assert host.create(f"{driver}1048574").name == f"{driver}1048574"
    text = f"{driver}1048575: no unit 1048575, {driver} has 0 to 1048574"
    with pytest.raises(DeviceError, match=text) as caught:
        host.create(f"{driver}1048575")
    assert caught.value.errno == errno.ENXIO


def test_an_interface_that_exists(host: SoftHost) -> None:
    """create() of an interface that exists is EEXIST, and the old one stays."""
    old = host.create("tun0")
    with pytest.raises(DeviceBusy, match="tun0: the interface exists") as caught:
        host.create("tun0")
    assert (caught.value.errno, host.interface("tun0")) == (errno.EEXIST, old)


async def test_a_name_beyond_the_units(host: SoftHost) -> None:
    """An endpoint may have any number in its name; it takes no unit, and leaves none."""
    for _ in range(2):
        async with host.open_tun("tun9999999") as tun:
            assert tun.name == "tun9999999"
    assert host.create("tun").name == "tun0"


async def test_a_number_in_the_middle(host: SoftHost) -> None:
    """A number that is not at the end of the name is the lowest free one too."""
    names = []
    for _ in range(3):
        names.append((await host.open_tun("a%db")).name)
    host.destroy("a1b")
    names.append((await host.open_tun("a%db")).name)
    await host.aclose()
    assert names == ["a0b", "a1b", "a2b", "a1b"]


async def test_a_name_without_a_number(host: SoftHost) -> None:
    """An interface without a number comes and goes."""
    async with host.open_tun("vpn"):
        assert list(host.interfaces) == ["vpn"]
    assert not host.interfaces


def test_a_number_that_is_none(host: SoftHost) -> None:
    """Numbers with a leading zero are part of the name, and take no unit of it."""
    host.create("tun0")
    assert host._free_name("tun0%d") == "tun00"


def test_destroy(host: SoftHost) -> None:
    """destroy() deletes the interface, and its unit is free."""
    device = host.create("tun0")
    host.destroy("tun0")
    assert (device.going, dict(host.interfaces), host.create("tun").name) == (True, {}, "tun0")


@pytest.mark.parametrize("ask", ["interface", "destroy", "network_side"])
def test_no_such_interface(host: SoftHost, ask: str) -> None:
    """Asking for an interface that is not there says so."""
    with pytest.raises(DeviceGone, match="tun0: no such interface") as caught:
        getattr(host, ask)("tun0")
    assert caught.value.__cause__ is None


def test_other_events_leave_the_interface(host: SoftHost) -> None:
    """An interface that goes up, down, or gets an mtu stays in the host."""
    device = host.create("tap0")
    told: list[EventKind] = []
    device.listen(lambda event: told.append(event.kind))
    device.set_up(True)
    device.set_mtu(1400)
    device.set_up(False)
    assert (told, list(host.interfaces)) == ([EventKind.UP, EventKind.MTU, EventKind.DOWN], ["tap0"])


# --- sysctl ---------------------------------------------------------------------------------------


def test_the_node_of_taps_is_there_for_good(host: SoftHost) -> None:
    """net.link.tap is there before the first tap, and after the last."""
    states = [host.sysctl.is_node("net.link.tap")]
    host.create("tap0")
    host.destroy("tap0")
    assert [*states, host.sysctl.is_node("net.link.tap")] == [True, True]


async def test_every_tap_has_its_leaf(host: SoftHost) -> None:
    """A tap has its address in the tree whatever its name; a tun has none."""
    await host.open_tap("home", mac="02:00:00:00:00:09")
    await host.open_tun("away")
    assert host.sysctl.names("net.link.tap") == ["net.link.tap.home"]
    assert host.sysctl["net.link.tap.home"] == "02:00:00:00:00:09"
    await host.aclose()
    assert host.sysctl.names("net.link.tap") == []


def test_the_leaf_is_its_taps_own(host: SoftHost) -> None:
    """Writing one tap's address leaves the others'."""
    taps = [use(host, name) for name in ("tap0", "tap1")]
    assert isinstance(taps[0], TapDevice) and isinstance(taps[1], TapDevice)
    before = taps[1].mac
    host.sysctl["net.link.tap.tap0"] = "2:0:0:0:0:9"
    assert (taps[0].mac, taps[1].mac) == (bytes.fromhex("020000000009"), before)


def test_the_debug_level(host: SoftHost) -> None:
    """debug.if_tun_debug is a number, read and written, of all the tuns of this host."""
    tun = use(host, "tun0")
    assert isinstance(tun, TunDevice)
    assert host.sysctl["debug.if_tun_debug"] == 0
    host.sysctl["debug.if_tun_debug"] = 3
    assert (tun.debug_level(), host.sysctl["debug.if_tun_debug"]) == (3, 3)
    with pytest.raises(DeviceError):
        host.sysctl["debug.if_tun_debug"] = "3"


async def test_the_debug_level_of_an_endpoint(host: SoftHost) -> None:
    """The tun of an endpoint has the switch of its host."""
    async with host.open_tun():
        tun = host.interface("tun0")
        assert isinstance(tun, TunDevice)
        tun.set_debug(2)
        assert host.sysctl["debug.if_tun_debug"] == 2


# --- where what enters goes -----------------------------------------------------------------------


def test_to_the_stack(host: SoftHost) -> None:
    """What enters goes to the host's stack, from an interface made by hand and from an endpoint's."""
    tun = use(host, "tun0")
    with host.protocol(Family.INET) as queue:
        tun.write(IPV4)
        assert queue.recv_nowait() == IPV4
    assert host.stack.statistics().received == 1


def test_ifhead_reaches_a_protocol(host: SoftHost) -> None:
    """A tun made by hand knows the protocols that are registered with its host."""
    tun = use(host, "tun0")
    assert isinstance(tun, TunDevice)
    tun.set_ifhead(1)
    with host.protocol(Family.IPX) as queue:
        tun.write(bytes((0, 0, 0, 23)) + b"ipx")
        assert queue.recv_nowait() == b"ipx"


def test_a_tap_reaches_the_stack(host: SoftHost) -> None:
    """The packet in a frame for the tap goes to its protocol."""
    tap = use(host, "tap0")
    assert isinstance(tap, TapDevice)
    with host.protocol(Family.INET6) as queue:
        tap.write(in_frame(IPV6, dst=tap.mac))
        assert queue.recv_nowait() == IPV6


async def test_to_the_network_side(host: SoftHost) -> None:
    """What enters goes to whoever has the network side, past the stack; afterwards to the stack again."""
    tun, other = use(host, "tun0"), use(host, "tun1")
    with host.protocol(Family.INET) as queue:
        async with host.network_side("tun0") as side:
            tun.write(IPV4)
            other.write(ANOTHER)
            assert await side.recv() == IPV4
        tun.write(IPV4)
        assert [queue.recv_nowait(), queue.recv_nowait()] == [ANOTHER, IPV4]


async def test_one_network_side(host: SoftHost) -> None:
    """A network side is taken until it is closed, or its interface is deleted."""
    host.create("tun0")
    side = host.network_side("tun0")
    with pytest.raises(DeviceBusy, match="tun0: its network side is taken"):
        host.network_side("tun0")
    await side.aclose()
    again = host.network_side("tun0")
    host.destroy("tun0")
    host.create("tun0")
    await host.network_side("tun0").aclose()
    await again.aclose()


async def test_to_the_bridge(host: SoftHost) -> None:
    """What enters a member of a bridge leaves by the others, past the stack; a tap that is none goes to the stack."""
    taps = [use(host, f"tap{unit}") for unit in range(3)]
    bridge = host.bridge("bridge0", ["tap0", "tap1"])
    frame = in_frame(IPV4, dst=b"\xff" * 6)
    taps[0].write(frame)
    assert (taps[1].read_many(9), taps[2].read_many(9)) == ([frame], [])
    assert host.stack.statistics().received == 0
    taps[2].write(frame)
    assert host.stack.statistics().received == 1
    assert taps[0] in bridge and taps[2] not in bridge


async def test_a_network_side_goes_before_the_bridge(host: SoftHost) -> None:
    """Whoever has the network side of a member of a bridge gets what enters there."""
    taps = [use(host, f"tap{unit}") for unit in range(2)]
    host.bridge("bridge0", ["tap0", "tap1"])
    frame = in_frame(IPV4, dst=b"\xff" * 6)
    async with host.network_side("tap0") as side:
        task = await parked(side.recv())
        taps[0].write(frame)
        assert (await task, taps[1].read_many(9)) == (frame, [])


def test_a_bridge_that_exists(host: SoftHost) -> None:
    """A second bridge of one name is refused until the first is closed; another name is free."""
    for name in ("tap0", "tap1"):
        host.create(name)
    first = host.bridge("bridge0", ["tap0"])
    with pytest.raises(DeviceBusy, match="^bridge0: the bridge exists, with 1 members$"):
        host.bridge("bridge0", ["tap1"])
    host.bridge("bridge1", ["tap1"])
    first.remove(host.interface("tap0"))
    with pytest.raises(DeviceBusy, match="^bridge0: the bridge exists, with 0 members$"):
        host.bridge("bridge0", ["tap0"])
    first.close()
    assert host.bridge("bridge0", ["tap0"]) is not first


def test_the_bridges(host: SoftHost) -> None:
    """bridges are those that are not closed, by name; they cannot be changed from outside."""
    host.create("tap0")
    bridges = host.bridges
    one, other = host.bridge("bridge0", ["tap0"]), host.bridge("bridge1")
    assert bridges == {"bridge0": one, "bridge1": other}
    with pytest.raises(DeviceBusy, match="^bridge1: tap0 is a member of bridge0$"):
        other.add(host.interface("tap0"))
    one.close()
    assert bridges == {"bridge1": other}
    with pytest.raises(TypeError):
        bridges["bridge0"] = one  # type: ignore[index]


async def test_the_bridges_of_a_closed_host(host: SoftHost) -> None:
    """A closed host has no bridges."""
    bridge = host.bridge("bridge0")
    await host.aclose()
    assert bridge.closed
    assert not host.bridges


def test_a_bridge_that_was_refused(host: SoftHost) -> None:
    """A bridge that was not made has no member: the tap is free, and what enters it goes to the stack."""
    tap = host.create("tap0")
    host.create("tun0")
    listeners = len(tap._listeners)
    with pytest.raises(ValueError, match="^b: tun0 is not a tap, a bridge takes frames$"):
        host.bridge("b", ["tap0", "tun0"])
    assert len(tap._listeners) == listeners
    assert not host.bridges
    host.bridge("b", ["tap0"])


@pytest.mark.parametrize(("member", "kind"), [("tap9", DeviceGone), ("tun0", ValueError)])
def test_a_member_that_cannot_be(host: SoftHost, member: str, kind: type[Exception]) -> None:
    """A bridge of an interface that is not there, or is not a tap, is not made: its name stays free."""
    host.create("tun0")
    with pytest.raises(kind):
        host.bridge("bridge0", [member])
    host.bridge("bridge0")


@pytest.mark.parametrize("change", [lambda view: view.clear(), lambda view: view.__setitem__("tun0", None)])
def test_interfaces_are_a_view(host: SoftHost, change: Callable[[Any], None]) -> None:
    """interfaces cannot be changed from outside."""
    with pytest.raises((AttributeError, TypeError)):
        change(host.interfaces)


def test_the_nodes_are_one(host: SoftHost) -> None:
    """dev is the same every time: its clones are counted."""
    assert host.dev is host.dev
