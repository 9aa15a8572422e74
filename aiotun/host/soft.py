"""A host in this process: interfaces without a kernel, on any operating system, with no privilege."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import TypeVar

import attrs

from ..driver import Device, DevicePort, Interface, OffloadPort, ProtocolQueue, TapDevice, TunDevice
from ..driver.interface import InterfaceAddress
from ..endpoint import Endpoint, Opening, Tap, Tun, WhenDown, check_offload
from ..errors import DeviceBusy
from ..packet import AddressLike
from ..queueing import Discipline, Fifo
from .closing import ClosedByBlock
from .neighbors import Neighbors
from .options import Addresses, addresses, hardware_address
from .routes import Routes
from .soft_interfaces import SoftInterfaces

__all__ = ["SoftHost"]

QUEUE_LENGTH = 1000
"""Packets that may wait for an endpoint; the driver's own 50 lose bursts."""

PROTOCOL_LIMIT = 1000
"""Packets that may wait for a protocol; of the driver's own 50 one batch of 64 would be too many."""

E = TypeVar("E", bound=Endpoint)
D = TypeVar("D", TunDevice, TapDevice)


@attrs.frozen
class _Options:
    """What an interface is to be when it is opened; None leaves it as it is."""

    addresses: list[InterfaceAddress]
    mtu: int | None
    queue_length: int | None
    queue: Discipline | None
    mac: bytes | None
    up: bool
    when_down: WhenDown
    offload: frozenset[str]

    def configure(self, device: TunDevice | TapDevice) -> None:
        if self.mtu is not None:
            device.set_mtu(self.mtu)
        if self.mac is not None and isinstance(device, TapDevice):
            device.mac = self.mac
        for address in self.addresses:
            device.add_address(address)
        # Last: what fails before leaves the queue to whoever made it.
        if self.queue is not None:
            device.snd = self.queue
        elif self.queue_length is not None:
            device.snd = Fifo(self.queue_length)


class SoftHost(SoftInterfaces, ClosedByBlock):
    """
    A network stack side in this process, and the interfaces in it.

    The application's end of an interface is opened with open_tun() or open_tap(). On the stack's side this
    host answers pings, ARP and neighbor discovery, and routes what it sends; or the whole side is yours,
    ``host.network_side(name)``. Belongs to one event loop. Close with aclose() or ``async with``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._endpoints: dict[Interface, Endpoint] = {}

    def __repr__(self) -> str:
        return f"<SoftHost {' '.join(self._interfaces) or 'without interfaces'}>"

    def open_tun(
        self,
        name: str = "tun%d",
        *,
        address: Addresses = (),
        mtu: int | None = None,
        queue_length: int | None = None,
        queue: Discipline | None = None,
        up: bool = True,
        when_down: WhenDown = "wait",
        offload: bool | str | Iterable[str] = False,
    ) -> Opening[Tun]:
        """
        Open a tun interface; await the result, or enter it with ``async with``.

        An interface that host.create() made is opened as it is, and outlives the endpoint. Any other is made,
        and deleted when the endpoint is closed.

        Args:
            name: The interface's name; ``%d`` becomes the lowest free number.
            address: Addresses with prefix length, ``"10.8.0.2/24"``, one or several, IPv4 or IPv6.
            mtu: Largest packet, in bytes; 1500 by default.
            queue_length: Packets that may wait for the application, 1000 by default; more are dropped and counted.
            queue: The discipline they wait in, instead of first-in first-out; it belongs to this interface alone.
            up: Whether to bring the interface up.
            when_down: What receiving does while the interface is down.
            offload: Whether the stack may hand out super-packets, and takes them: True, or some of ``tso``, ``uso``,
                ``tcp_gro``, ``udp_gro``, ``tunnel``, see Device.offload. In the queue and in the counters one is one
                packet. Without, they are cut in front of the queue.

        Raises:
            ValueError: If the name, an address, the mtu or an offload cannot be.
            DeviceBusy: If the interface is open already.
        """

        options = _Options(addresses(address), mtu, queue_length, queue, None, up, when_down, check_offload(offload))
        return self._opening(Tun, TunDevice, self._make_tun, name, options)

    def open_tap(
        self,
        name: str = "tap%d",
        *,
        address: Addresses = (),
        mtu: int | None = None,
        mac: str | bytes | None = None,
        queue_length: int | None = None,
        queue: Discipline | None = None,
        up: bool = True,
        when_down: WhenDown = "wait",
        offload: bool | str | Iterable[str] = False,
    ) -> Opening[Tap]:
        """
        Open a tap interface; like open_tun(), with frames for packets.

        Args:
            mac: The interface's hardware address; by default the driver's own prefix and three bytes of uptime.
        """

        options = _Options(
            addresses(address), mtu, queue_length, queue, hardware_address(mac), up, when_down, check_offload(offload)
        )
        return self._opening(Tap, TapDevice, self._make_tap, name, options)

    # --- the stack side ---------------------------------------------------------------------------

    @property
    def routes(self) -> Routes:
        """The routing table; an address brings the route to its network, others are added."""
        return self.stack.routes

    @property
    def neighbors(self) -> Neighbors:
        """Who is at the other end of the taps: the ARP and neighbor discovery tables."""
        return self.stack.neighbors

    def send(self, packet: bytes) -> None:
        """
        Send a packet by the route to its destination. Never waits, and raises why it did not go.

        See Stack.send() for the errors.
        """
        self.stack.send(packet)

    def send_many(self, batch: Iterable[bytes]) -> int:
        """Send packets by the routes to their destinations; return how many went, the others are counted."""
        return self.stack.send_many(batch)

    def protocol(self, family: int, *, limit: int = PROTOCOL_LIMIT) -> ProtocolQueue:
        """
        Receive the packets of *family* that enter by any interface: ``async for packet in host.protocol(AF_INET)``.

        Those that the stack answers by itself, pings to this host, are not among them. Close it to unregister.

        Args:
            family: ``socket.AF_INET``, ``socket.AF_INET6``, or a ``Family``.
            limit: Packets that may wait; more are dropped, counted at the interface as ``input_queue_full``.

        Raises:
            DeviceBusy: If somebody receives them already.
            DeviceClosed: If the host is closed.

        Modelled on netisr_register() of DragonFly.
        """
        self._check_open()
        return self.stack.netisr.register(family, limit)

    async def ping(self, address: AddressLike, *, size: int = 56, timeout: float = 1.0) -> float:
        """
        Send an echo request of *size* bytes and return the round trip time, in seconds. Canceling is safe.

        Raises:
            TimeoutError: If there was no answer within *timeout* seconds.
            DeviceError: If there is no way to it, or a router says so.
            DeviceClosed: If the host is closed, also while this waits.
        """
        return await self.stack.pings.ping(address, size=size, timeout=timeout)

    # --- closing ----------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close every endpoint and delete every interface. Idempotent."""
        self._closed = True
        async with AsyncExitStack() as stack:  # goes on after a cancel
            stack.callback(self._delete_all)
            for endpoint in [*self._networks.values(), *self._endpoints.values()]:
                stack.push_async_callback(endpoint.aclose)

    # --- inside -----------------------------------------------------------------------------------

    def _opening(
        self, kind: Callable[..., E], driver: type[D], make: Callable[[str], D], name: str, options: _Options
    ) -> Opening[E]:
        async def open() -> E:
            self._check_open()
            device = self._device(driver, make, self._free_name(name), options)
            if options.up:
                device.set_up(True)
            port = self._port(device, options.offload)
            try:
                endpoint = kind(port, when_down=options.when_down)
            except BaseException:
                port.close_now()
                raise
            self._endpoints[device] = endpoint
            return endpoint

        return Opening(open)

    def _device(self, driver: type[D], make: Callable[[str], D], name: str, options: _Options) -> D:
        """Return the interface to open, configured: the one of that name, or a new one."""
        device = self._interfaces.get(name)
        if device is None:
            new = make(name)
            new.snd = Fifo(QUEUE_LENGTH)
            new.dies_with_close = True
            options.configure(new)
            return self._add(new)
        if device.is_open:
            raise DeviceBusy(f"{name}: held by process {device.pid}")
        if not isinstance(device, driver):
            raise DeviceBusy(f"{name}: the interface exists, and is a {type(device).__name__}")
        options.configure(device)
        return device

    def _port(self, device: Device, offload: frozenset[str]) -> DevicePort:
        return OffloadPort(device, self._given_up, offload) if offload else DevicePort(device, self._given_up)

    def _given_up(self, device: Device) -> None:
        self._endpoints.pop(device, None)

    def _delete_all(self) -> None:
        for bridge in tuple(self._bridges.values()):
            bridge.close()
        for device in tuple(self._interfaces.values()):
            device.destroy()
        self.stack.close()
