"""The interfaces of an in-process host: making and deleting them, and what enters through them."""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from types import MappingProxyType
from typing import TypeVar, cast

from ..driver import (
    Debug,
    Interface,
    NetworkPort,
    NetworkSide,
    SysctlTree,
    TapDevice,
    TunDevice,
    Units,
)
from ..driver.sysctl import ether_aton
from ..endpoint import Endpoint, Event, EventKind
from ..endpoint.names import check_name, is_template
from ..errors import DeviceBusy, DeviceClosed, DeviceError, DeviceGone
from .bridge import Bridge
from .devfs import TAP_CLONER, AnyDevice, DevFs
from .link import Link
from .stack import Stack

__all__ = ["SoftInterfaces"]

D = TypeVar("D", TunDevice, TapDevice)

_UNIT = re.compile(r"(.*?)(0|[1-9][0-9]*)")


class SoftInterfaces:
    """What lives in a host in this process. Belongs to one event loop's thread; nothing here waits."""

    def __init__(self) -> None:
        self.stack = Stack()
        """The stack side: routes, neighbors, protocols, and what they counted."""
        self.sysctl = SysctlTree()
        """The values of the drivers by dotted name: ``host.sysctl["net.link.tap.tap0"]``."""
        self._interfaces: dict[str, AnyDevice] = {}
        self._units: dict[str, Units] = {}  # by what stands in front of the number
        # By interface, not by name: a name may be taken anew while a deleted interface is still open.
        self._networks: dict[Interface, NetworkSide] = {}
        self._network_ports: dict[Interface, NetworkPort] = {}
        self._bridges: dict[str, Bridge] = {}
        self._debug = Debug()
        self._closed = False
        self.sysctl.create_node("net.link.tap")
        self.sysctl.create("debug.if_tun_debug", lambda: self._debug.level, self._set_debug)

    @property
    def interfaces(self) -> Mapping[str, AnyDevice]:
        """The interfaces there are now, by name; a live, read-only view."""
        return MappingProxyType(self._interfaces)

    @cached_property
    def dev(self) -> DevFs:
        """The device nodes by name, to open as a program does: ``host.dev["tap4"].open(Credentials())``."""
        return DevFs(self._interfaces, self.create)

    @property
    def bridges(self) -> Mapping[str, Bridge]:
        """The bridges that are not closed, by name; a live, read-only view."""
        return MappingProxyType(self._bridges)

    def interface(self, name: str | Endpoint) -> AnyDevice:
        """
        Return the interface called *name*, or that an endpoint of this host stands on.

        Raises:
            DeviceGone: If there is none.
        """
        name = name.name if isinstance(name, Endpoint) else name
        try:
            return self._interfaces[name]
        except KeyError:
            raise DeviceGone(f"{name}: no such interface") from None

    def create(self, name: str) -> AnyDevice:
        """
        Make an interface that lives until it is destroyed: ``"tap4"``, or ``"tap"`` for the next free number.

        Raises:
            DeviceError: If there is no driver of that name (EINVAL), or it has no such unit (ENXIO).
            DeviceBusy: If the interface exists (EEXIST).
            DeviceClosed: If the host is closed.

        Modelled on tap_clone_create() in NetBSD if_tap.c.
        """
        self._check_open()
        drivers: dict[str, Callable[[str], AnyDevice]] = {
            "tun": lambda name: self._add(self._make_tun(name)),
            "tap": lambda name: self._add(self._make_tap(name)),
        }
        parts = _UNIT.fullmatch(name)
        driver = parts[1] if parts else name
        if driver not in drivers:
            raise DeviceError(f"{name}: no driver {driver!r}; there are {', '.join(drivers)}", errno.EINVAL)
        if parts and int(parts[2]) >= TAP_CLONER:
            raise DeviceError(f"{name}: no unit {parts[2]}, {driver} has 0 to {TAP_CLONER - 1}", errno.ENXIO)
        if name in self._interfaces:
            raise DeviceBusy(f"{name}: the interface exists", errno.EEXIST)
        return drivers[driver](name if parts else self._free_name(f"{driver}%d"))

    def destroy(self, name: str) -> None:
        """
        Delete the interface under whoever has it open: every waiter gets DeviceGone.

        Raises:
            DeviceGone: If there is no such interface.

        Modelled on tap_clone_destroy() in NetBSD if_tap.c.
        """
        self.interface(name).destroy()

    def network_side(self, name: str) -> NetworkSide:
        """
        Return the stack's end of the interface, an endpoint: receive what the application sent, send to it.

        One at a time; while there is one, the host's own stack sees nothing of the interface. Close it to free
        the place.

        Raises:
            DeviceGone: If there is no such interface.
            DeviceBusy: If its network side is taken.
        """
        interface = self.interface(name)
        if interface in self._networks:
            raise DeviceBusy(f"{name}: its network side is taken")

        def closed() -> None:
            self._networks.pop(interface, None)
            self._network_ports.pop(interface, None)

        port = NetworkPort(interface, closed)
        self._network_ports[interface] = port
        self._networks[interface] = NetworkSide(port)
        return self._networks[interface]

    def bridge(self, name: str, members: str | Iterable[str] = ()) -> Bridge:
        """
        Make a bridge of taps: a frame that enters by one member leaves by the others.

        While a tap is a member, the host's own stack sees nothing of it.

        Raises:
            DeviceBusy: If there is a bridge of that name, or a member is in another.
            DeviceGone: If there is no interface of a member's name.
            DeviceClosed: If the host is closed.
            ValueError: If a member is not a tap.
        """
        self._check_open()
        if name in self._bridges:
            raise DeviceBusy(f"{name}: the bridge exists, with {len(self._bridges[name].members)} members")
        taps = [self.interface(member) for member in ([members] if isinstance(members, str) else members)]
        return Bridge(name, taps, among=self._bridges)

    # --- inside -----------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceClosed("the host is closed")

    def _make_tun(self, name: str) -> TunDevice:
        return TunDevice(name, self._deliver, netisr=self.stack.netisr, debug=self._debug)

    def _make_tap(self, name: str) -> TapDevice:
        return TapDevice(name, self._deliver)

    def _free_name(self, name: str) -> str:
        """Return *name* with the lowest free number for its ``%d``."""
        if not is_template(check_name(name)):
            return name
        prefix, _, suffix = name.partition("%d")
        if suffix:  # such names are rare: look at each
            return next(free for unit in itertools.count() if (free := name % unit) not in self._interfaces)
        unit = self._numbers(prefix).get()
        self._numbers(prefix).put(unit)
        return name % unit

    def _numbers(self, prefix: str) -> Units:
        """Return which numbers are taken behind *prefix*."""
        if prefix not in self._units:
            self._units[prefix] = Units(prefix)
        return self._units[prefix]

    def _add(self, device: D) -> D:
        """Take a new interface into the host; it leaves by itself when it is deleted."""
        self._interfaces[device.name] = device
        parts = _UNIT.fullmatch(device.name)
        if parts and int(parts[2]) < TAP_CLONER:
            self._numbers(parts[1]).set(int(parts[2]))
        if isinstance(device, TapDevice):
            self.sysctl.create(f"net.link.tap.{device.name}", *_hardware_address_of(device))
        device.listen(partial(self._changed, device))
        self.stack.attach(device)
        return device

    def _changed(self, device: AnyDevice, event: Event) -> None:
        if event.kind is not EventKind.GONE:
            return
        del self._interfaces[device.name]
        parts = _UNIT.fullmatch(device.name)
        if parts:
            self._numbers(parts[1]).put(int(parts[2]))
        if isinstance(device, TapDevice):
            self.sysctl.destroy(f"net.link.tap.{device.name}")

    def _deliver(self, interface: Interface, batch: list[bytes]) -> None:
        """Give what entered to whoever has the network side, to the bridge it is in, or to the stack."""
        port = self._network_ports.get(interface)
        if port is not None:
            port.deliver(batch)
            return
        for bridge in self._bridges.values():
            if interface in bridge:
                bridge.input(cast(Link, interface), batch)
                return
        self.stack.input(cast(Link, interface), batch)  # every interface of this host is a device

    def _set_debug(self, level: int | str) -> None:
        self._debug.level = int(level)


def _hardware_address_of(tap: TapDevice) -> tuple[Callable[[], str], Callable[[int | str], None]]:
    """Return how ``net.link.tap.tapN`` is read and written. Modelled on tap_sysctl_handler() in NetBSD if_tap.c."""

    def write(text: int | str) -> None:
        tap.mac = ether_aton(str(text))

    return lambda: tap.mac.hex(":"), write
