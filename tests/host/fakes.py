"""Interfaces without a driver, which keep what they are told, and frames to give a stack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

import pytest

from aiotun.endpoint import Event, EventKind
from aiotun.endpoint.kinds import link_header
from aiotun.errors import DeviceDown, DeviceError, QueueFull
from aiotun.host.stack import Stack
from aiotun.packet import ICMP, Ethernet, EtherType, ICMPv6, IPv4, IPv6, Protocol

OUR_MAC = bytes.fromhex("020000000001")
PEER_MAC = bytes.fromhex("020000000002")
OTHER_MAC = bytes.fromhex("020000000003")
EVERYBODY = b"\xff" * 6


class FakeLink:
    """An interface: its output is kept, batch by batch, as far as there is room."""

    def __init__(self, name: str, *addresses: str, header: int = 0, mac: bytes = OUR_MAC, mtu: int = 1500) -> None:
        self.name = name
        self.mtu = mtu
        self.header = header
        self.mac = mac
        self.addresses: list[IPv4Interface | IPv6Interface] = [ip_interface(address) for address in addresses]
        self.up = True
        self.open = True
        self.room = 1000
        self.batches: list[list[bytes]] = []
        self.dropped: Counter[str] = Counter()
        self.refusal: DeviceError | None = None
        self.listeners: list[Callable[[Event], None]] = []

    @property
    def packets(self) -> list[bytes]:
        """Everything that was output and queued."""
        return [packet for batch in self.batches for packet in batch]

    def output(self, batch: list[bytes]) -> list[bytes]:
        if not (self.up and self.open):
            self.drop("down", len(batch))
            raise DeviceDown(f"{self.name}: the interface is down")
        assert max(map(self.layer3_size, batch)) <= self.mtu, "longer than the mtu"
        queued = batch[: max(0, self.room - len(self.packets))]
        if len(queued) < len(batch):
            self.refusal = QueueFull(f"{self.name}: the send queue is full")
        self.drop("queue_full", len(batch) - len(queued))
        self.batches.append(queued)
        return queued

    def layer3_size(self, packet: bytes) -> int:
        return len(packet) - (link_header(packet) if self.header else 0)

    def drop(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] += count

    def listen(self, tell: Callable[[Event], None]) -> None:
        self.listeners.append(tell)

    def unlisten(self, tell: Callable[[Event], None]) -> None:
        self.listeners.remove(tell)

    def tell(self, kind: EventKind) -> None:
        for listener in tuple(self.listeners):
            listener(Event(kind))

    def set_up(self, up: bool) -> None:
        self.up = up
        self.tell(EventKind.UP if up else EventKind.DOWN)

    def destroy(self) -> None:
        self.up = False
        self.addresses.clear()
        self.tell(EventKind.GONE)


class FakeLoop:
    """Keeps what a stack asks the event loop to call later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.cancelled = 0
        monkeypatch.setattr("aiotun.host.output.asyncio.get_running_loop", lambda: self)

    def call_later(self, delay: float, call: Callable[[], None]) -> FakeLoop:
        self.later.append((delay, call))
        return self

    def cancel(self) -> None:
        self.cancelled += 1


def fake_tap(name: str = "tap0", *addresses: str, mac: bytes = OUR_MAC, mtu: int = 1500) -> FakeLink:
    return FakeLink(name, *addresses, header=14, mac=mac, mtu=mtu)


def datagram(src: str, dst: str, payload: bytes = b"payload") -> bytes:
    """A UDP packet of either version; nobody looks into it."""
    if ":" in dst:
        return IPv6(src, dst, Protocol.UDP, bytes(8) + payload).build()
    return IPv4(src, dst, Protocol.UDP, bytes(8) + payload).build()


def echo_request(src: str, dst: str, payload: bytes = b"ping", identifier: int = 7) -> bytes:
    if ":" in dst:
        message = ICMPv6.echo_request(identifier, 1, payload).build(src, dst)
        return IPv6(src, dst, Protocol.ICMPV6, message).build()
    return IPv4(src, dst, Protocol.ICMP, ICMP.echo_request(identifier, 1, payload).build()).build()


def in_frame(packet: bytes, dst: bytes = OUR_MAC, src: bytes = PEER_MAC) -> bytes:
    kind = EtherType.IPV4 if packet[0] >> 4 == 4 else EtherType.IPV6
    return Ethernet(dst, src, kind, packet).build()


def faulty(link: FakeLink, error: BaseException) -> None:
    """Make an interface raise over whatever is output, as a stage of the user's may."""

    def output(batch: list[bytes]) -> list[bytes]:
        raise error

    link.output = output  # type: ignore[method-assign]


def conserved(stack: Stack) -> bool:
    """Whether the law of StackStatistics holds."""
    counts = stack.statistics()
    left = counts.used + counts.delivered + counts.looped + counts.sent + counts.waiting
    return counts.received + counts.offered == left + sum(counts.dropped.values())
