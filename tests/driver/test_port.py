"""The port of an in-process device: what its endpoint stands on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiotun.driver import Device, DevicePort, TunDevice
from aiotun.endpoint import Event, EventKind
from aiotun.errors import DeviceBusy, DeviceError, DeviceGone
from aiotun.testing.expect import parked, turns

from .fakes import IPV4, IPV6, Listener, Stack, stack_of


class Closed:
    """Keeps the devices that were given up."""

    def __init__(self) -> None:
        self.devices: list[Device] = []

    def __call__(self, device: Device) -> None:
        self.devices.append(device)


@pytest.fixture
def device() -> Device:
    made = TunDevice("tun0", Stack())
    made.set_up(True)
    return made


@pytest.fixture
def closed() -> Closed:
    return Closed()


@pytest.fixture
def port(device: Device, closed: Closed) -> DevicePort:
    return DevicePort(device, closed)


def test_making_a_port_opens(port: DevicePort, device: Device) -> None:
    """A port has its device open."""
    assert device.pid is not None


def test_an_endpoints_device_is_bare(port: DevicePort, device: Device) -> None:
    """Under a port the device is bare: both families, and nothing in front."""
    device.output([IPV6])
    assert (device.bare, port.read_many(1)) == (True, [IPV6])


def test_a_refused_port_changes_nothing() -> None:
    """A device that somebody has open stays as it is when a port is refused."""
    device = TunDevice("tun0", Stack())
    device.open()
    with pytest.raises(DeviceBusy):
        DevicePort(device, Closed())
    assert (device.bare, device._listeners) == (False, [])


def test_what_the_port_knows(port: DevicePort, device: Device) -> None:
    """A port has the device's name, mtu and readiness."""
    assert (port.name, port.mtu, port.readable is device.readable) == ("tun0", 1500, True)
    assert port.writable.what == "sending to tun0"


async def test_writable_follows_the_link(port: DevicePort, device: Device) -> None:
    """A sender waits while the interface is down, and goes on when it is up."""
    await port.writable.wait()
    device.set_up(False)
    task = await parked(port.writable.wait())
    device.set_mtu(1400)
    await turns()
    assert not task.done()
    device.set_up(True)
    await task


async def test_a_port_of_a_down_device() -> None:
    """A port opened while the interface is down lets its sender wait; the end releases it."""
    device = TunDevice("tun0", Stack())
    port = DevicePort(device, Closed())
    task = await parked(port.writable.wait())
    device.destroy()
    await task
    await port.writable.wait()


def test_watching_a_destroyed_device(port: DevicePort, device: Device) -> None:
    """watch() of a device that is gone says so at once; of one that is there, nothing."""
    device.destroy()
    listener = Listener()
    port.watch(listener)
    assert listener.told == [Event(EventKind.GONE)]


def test_a_second_port(port: DevicePort, device: Device, closed: Closed) -> None:
    """A second port of one device is refused, and the first keeps it."""
    with pytest.raises(DeviceBusy):
        DevicePort(device, closed)
    assert device.pid is not None


async def test_closing(port: DevicePort, device: Device, closed: Closed) -> None:
    """aclose() closes the device and then tells the host."""
    await port.aclose()
    assert (device.pid, closed.devices) == (None, [device])


def test_reading_and_writing(port: DevicePort, device: Device) -> None:
    """The port reads and writes the device."""
    device.output([IPV4])
    assert (port.read_many(64), port.write_many([IPV4])) == ([IPV4], 1)
    assert stack_of(device).entered == [IPV4]


def test_fileno(port: DevicePort, device: Device) -> None:
    """The port's descriptor is the device's."""
    assert port.fileno() == device.fileno()
    port.close_now()


def test_is_up(port: DevicePort, device: Device) -> None:
    """is_up() is whether the interface is up."""
    states = [port.is_up()]
    device.set_up(False)
    assert [*states, port.is_up()] == [True, False]


def test_is_up_after_destruction(port: DevicePort, device: Device) -> None:
    """is_up() of a destroyed device raises DeviceGone: gone is more than down."""
    device.destroy()
    with pytest.raises(DeviceGone):
        port.is_up()


def test_refresh(port: DevicePort, device: Device) -> None:
    """A change of the mtu is known at once; the name is brought up to date by refresh()."""
    device.set_mtu(1400)
    assert port.mtu == 1400
    device.name = "renamed0"
    port.refresh()
    assert (port.name, port.mtu) == ("renamed0", 1400)


def test_counters(port: DevicePort, device: Device) -> None:
    """The port's counters are the interface's."""
    device.output([IPV4])
    assert port.counters() == device.counters()
    assert device.counters().opackets == 1


def test_watching(port: DevicePort, device: Device) -> None:
    """watch() tells what happens to the interface."""
    listener = Listener()
    port.watch(listener)
    device.set_mtu(1400)
    assert listener.told == [Event(EventKind.MTU, 1400)]


def test_closing_ends_watching(port: DevicePort, device: Device) -> None:
    """A closed port tells nothing more, not even that it brought the interface down."""
    listener = Listener()
    port.watch(listener)
    port.close_now()
    device.set_up(True)
    assert listener.told == []


def test_disarm(port: DevicePort, device: Device) -> None:
    """disarm() has nothing to leave, and leaves the device open."""
    port.disarm()
    assert device.pid is not None


def test_detach(port: DevicePort) -> None:
    """An in-process device has no descriptor to give away, and says so."""
    with pytest.raises(DeviceError, match="tun0: an in-process device has no file descriptor to give away"):
        port.detach()


@pytest.mark.parametrize("operation", [lambda port: port.read_many(1), lambda port: port.write_many([IPV4])])
def test_after_destruction(operation: Callable[[DevicePort], object], port: DevicePort, device: Device) -> None:
    """Reading and writing a destroyed device raise DeviceGone."""
    device.destroy()
    with pytest.raises(DeviceGone, match="tun0: the interface was deleted"):
        operation(port)
