"""A host in this process: interfaces without a kernel, on any operating system, with no privilege."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

from ..driver import Device, DevicePort, Interface, NetworkPort, NetworkSide, TapDevice, TunDevice
from ..endpoint import Endpoint, Opening, Tap, Tun, WhenDown
from ..endpoint.names import check_name, is_template
from ..errors import DeviceBusy, DeviceClosed, DeviceGone
from .options import Addresses, addresses, hardware_address

__all__ = ["SoftHost"]

E = TypeVar("E", bound=Endpoint)
D = TypeVar("D", bound=Device)


class SoftHost:
    """
    A network stack side in this process, and the interfaces in it.

    The application's end of an interface is opened with open_tun() or open_tap(); the stack's end is
    ``host.network_side(name)``. Belongs to one event loop. Close with aclose() or ``async with``.
    """

    def __init__(self) -> None:
        self._interfaces: dict[str, Device] = {}
        # By interface, not by name: a name may be taken anew while a deleted interface is still open.
        self._networks: dict[Interface, NetworkSide] = {}
        self._network_ports: dict[Interface, NetworkPort] = {}
        self._endpoints: dict[Interface, Endpoint] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"<SoftHost {' '.join(self._interfaces) or 'without interfaces'}>"

    @property
    def interfaces(self) -> Mapping[str, Interface]:
        """The interfaces there are now, by name; a live, read-only view."""
        return MappingProxyType(self._interfaces)

    def open_tun(
        self,
        name: str = "tun%d",
        *,
        address: Addresses = (),
        mtu: int = 1500,
        queue_length: int = 1000,
        up: bool = True,
        when_down: WhenDown = "wait",
    ) -> Opening[Tun]:
        """
        Make a tun interface and open it; await the result, or enter it with ``async with``.

        Args:
            name: The interface's name; ``%d`` becomes the lowest free number.
            address: Addresses with prefix length, ``"10.8.0.2/24"``, one or several, IPv4 or IPv6.
            mtu: Largest packet, in bytes.
            queue_length: Packets that may wait for the application; more are dropped and counted.
            up: Whether to bring the interface up.
            when_down: What receiving does while the interface is down.

        Raises:
            ValueError: If the name, an address or the mtu cannot be.
            DeviceBusy: If the interface is open already.
        """

        def device(name: str) -> TunDevice:
            return TunDevice(name, self._deliver, mtu=mtu, queue_length=queue_length)

        return self._opening(Tun, device, name, address, up, when_down)

    def open_tap(
        self,
        name: str = "tap%d",
        *,
        address: Addresses = (),
        mtu: int = 1500,
        mac: str | bytes | None = None,
        queue_length: int = 1000,
        up: bool = True,
        when_down: WhenDown = "wait",
    ) -> Opening[Tap]:
        """
        Make a tap interface and open it; like open_tun(), with frames for packets.

        Args:
            mac: The interface's hardware address; by default the driver's own prefix and three bytes of uptime.
        """

        def device(name: str) -> TapDevice:
            return TapDevice(name, self._deliver, mtu=mtu, queue_length=queue_length, mac=hardware_address(mac))

        return self._opening(Tap, device, name, address, up, when_down)

    def interface(self, name: str) -> Interface:
        """
        Return the interface called *name*.

        Raises:
            DeviceGone: If there is none.
        """
        try:
            return self._interfaces[name]
        except KeyError:
            raise DeviceGone(f"{name}: no such interface") from None

    def network_side(self, name: str) -> NetworkSide:
        """
        Return the stack's end of the interface, an endpoint: receive what the application sent, send to it.

        One at a time; until there is one, what the application sends is dropped as ``no_stack``. Close it to
        free the place.

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

    def destroy(self, name: str) -> None:
        """
        Delete the interface under whoever has it open: every waiter gets DeviceGone.

        Raises:
            DeviceGone: If there is no such interface.
        """
        self.interface(name).destroy()
        del self._interfaces[name]

    async def aclose(self) -> None:
        """Close every endpoint and delete every interface. Idempotent."""
        self._closed = True
        async with AsyncExitStack() as stack:  # goes on after a cancel
            for endpoint in [*self._networks.values(), *self._endpoints.values()]:
                stack.push_async_callback(endpoint.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- inside -----------------------------------------------------------------------------------

    def _opening(
        self,
        kind: Callable[..., E],
        device: Callable[[str], Device],
        name: str,
        address: Addresses,
        up: bool,
        when_down: WhenDown,
    ) -> Opening[E]:
        async def open() -> E:
            return self._open(kind, device, name, address, up, when_down)

        return Opening(open)

    def _open(
        self,
        kind: Callable[..., E],
        make: Callable[[str], Device],
        name: str,
        address: Addresses,
        up: bool,
        when_down: WhenDown,
    ) -> E:
        if self._closed:
            raise DeviceClosed("the host is closed")
        wanted = addresses(address)
        name = self._free_name(check_name(name))
        device = make(name)
        for one in wanted:
            device.add_address(one)
        if up:
            device.set_up(True)
        endpoint = kind(DevicePort(device, self._given_up), when_down=when_down)
        self._interfaces[name] = device
        self._endpoints[device] = endpoint
        return endpoint

    def _free_name(self, name: str) -> str:
        if is_template(name):
            return next(free for unit in itertools.count() if (free := name % unit) not in self._interfaces)
        if name in self._interfaces:
            raise DeviceBusy(f"{name}: held by process {self._interfaces[name].pid}")
        return name

    def _given_up(self, device: Device) -> None:
        """Undo what opening made: the interface lives as long as the application that opened it."""
        self._endpoints.pop(device, None)
        if self._interfaces.get(device.name) is device:
            self.destroy(device.name)

    def _deliver(self, interface: Interface, batch: list[bytes]) -> None:
        port = self._network_ports.get(interface)
        if port is None:
            interface.drop("no_stack", len(batch))
        else:
            port.deliver(batch)
