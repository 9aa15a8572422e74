"""Echo requests of this host, and what comes back for them."""

from __future__ import annotations

import asyncio
import errno
import secrets
import time
from collections.abc import Callable
from ipaddress import ip_address

from ..errors import AiotunError, DeviceClosed, DeviceError, PacketTooBig, QueueFull
from ..packet import (
    ICMP,
    Address,
    AddressLike,
    ICMPType,
    ICMPv6,
    ICMPv6Type,
    ICMPv6View,
    ICMPView,
    IPv4,
    IPv4View,
    IPv6,
    Protocol,
    find_transport,
)

__all__ = ["Pings"]

WAITING = 4096
"""Pings that wait for their answer, at most."""

# Errors that end a ping, RFC 1122 section 3.2.2 and RFC 4443 section 3; Linux answers EHOSTUNREACH to them all.
_ENDINGS = {
    4: {int(ICMPType.UNREACHABLE): "unreachable", int(ICMPType.TIME_EXCEEDED): "too many hops away"},
    6: {int(ICMPv6Type.UNREACHABLE): "unreachable", int(ICMPv6Type.TIME_EXCEEDED): "too many hops away"},
}
_FRAGMENTATION_NEEDED = 4  # the code of an unreachable, RFC 1191 section 4


class _Ping:
    """One echo request on its way."""

    __slots__ = ("address", "answered_at", "done", "error")

    def __init__(self, address: Address, done: asyncio.Future[None]) -> None:
        self.address = address
        self.done = done
        self.answered_at = 0.0
        self.error: AiotunError | None = None


class Pings:
    """
    The pings of a host; any number may wait at the same time, up to 4096.

    Args:
        send: Sends a packet, at once, or raises why not.
        source: Returns the address to send from, by destination.
    """

    def __init__(self, send: Callable[[bytes], None], source: Callable[[Address], Address]) -> None:
        self._send = send
        self._source = source
        self._identifier = secrets.randbelow(1 << 16)
        self._sequence = 0
        self._waiting: dict[tuple[bytes, int], _Ping] = {}  # by address and sequence
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def ping(self, address: AddressLike, *, size: int = 56, timeout: float = 1.0) -> float:
        """
        Send an echo request and return the round trip time, in seconds.

        Waits for the answer. Canceling is safe: an answer that comes later is nobody's.

        Args:
            address: Whom to ask.
            size: Bytes of payload.
            timeout: Seconds to wait.

        Raises:
            TimeoutError: If there was no answer in time.
            DeviceError: If a router says that the address is unreachable (EHOSTUNREACH), or the request cannot be
                sent: no route (ENETUNREACH), no address to send from (EADDRNOTAVAIL).
            PacketTooBig: If it is longer than the way to the address carries.
            DeviceDown, QueueFull: If the interface does not take it.
            DeviceClosed: If the host is closed, also while this waits.
        """
        if self._closed:
            raise _closed()
        target = ip_address(address)
        source = self._source(target)
        if len(self._waiting) >= WAITING:
            raise QueueFull(f"{target}: {WAITING} pings are waiting already")
        sequence = self._next(target)
        ping = _Ping(target, asyncio.get_running_loop().create_future())
        key = target.packed, sequence
        self._waiting[key] = ping
        try:
            packet = self._request(source, target, sequence, bytes(size))
            sent_at = time.perf_counter()
            self._send(packet)
            await asyncio.wait((ping.done,), timeout=timeout)
        finally:
            del self._waiting[key]
        if not ping.done.done():
            raise TimeoutError(f"{target}: no answer within {timeout:g} s")
        if ping.error is not None:
            raise ping.error
        return ping.answered_at - sent_at

    def take(self, packet: bytes) -> bool:
        """Return whether a packet to this host ends one of its pings, and end it."""
        found = self._found(packet) if self._waiting else None
        if found is None:
            return False
        found.answered_at = time.perf_counter()
        found.done.set_result(None)
        return True

    def close(self) -> None:
        """End every ping that waits, and every later one, with DeviceClosed. Idempotent."""
        self._closed = True
        for ping in self._waiting.values():
            if not ping.done.done():
                ping.error = _closed()
                ping.done.set_result(None)

    # --- inside -----------------------------------------------------------------------------------

    def _next(self, target: Address) -> int:
        """Return the next sequence number that no ping to *target* waits under."""
        while True:
            self._sequence = (self._sequence + 1) & 0xFFFF
            if (target.packed, self._sequence) not in self._waiting:
                return self._sequence

    def _request(self, source: Address, target: Address, sequence: int, payload: bytes) -> bytes:
        if target.version == 4:
            message = ICMP.echo_request(self._identifier, sequence, payload).build()
            return IPv4(source, target, Protocol.ICMP, message, dont_fragment=True).build()
        message = ICMPv6.echo_request(self._identifier, sequence, payload).build(source, target)
        return IPv6(source, target, Protocol.ICMPV6, message).build()

    def _found(self, packet: bytes) -> _Ping | None:
        """Return the ping that a packet ends, with the error noted in it if there is one."""
        protocol, start, end, _ = find_transport(packet)
        if protocol == Protocol.ICMP:
            view = ICMPView(packet, start, end)
            if view.checksum_ok:
                return self._ended(packet[12:16], view, ICMP.REPLY)
        elif protocol == Protocol.ICMPV6:
            view6 = ICMPv6View(packet, start, end)
            if view6.checksum_ok(packet[8:24], packet[24:40]):
                return self._ended(packet[8:24], view6, ICMPv6.REPLY)
        return None

    def _ended(self, source: bytes, view: ICMPView | ICMPv6View, reply: int) -> _Ping | None:
        return self._asked(source, view) if view.type == reply else self._refused(source, view)

    def _asked(self, address: bytes, view: ICMPView | ICMPv6View) -> _Ping | None:
        """Return the ping to *address* that an echo is of; None too if it was answered."""
        ping = self._waiting.get((address, view.sequence))
        return None if ping is None or ping.done.done() or view.identifier != self._identifier else ping

    def _refused(self, speaker: bytes, view: ICMPView | ICMPv6View) -> _Ping | None:
        """Return the ping that an error quotes, with the error noted in it."""
        quoted = view.quoted
        request = quoted.partial_transport
        four = isinstance(quoted, IPv4View)
        # ICMP and ICMPv6 have their echo fields in the same places.
        echo = ICMPView(quoted.buffer, request.offset, request.end)
        wanted = (Protocol.ICMP, ICMP.REQUEST) if four else (Protocol.ICMPV6, ICMPv6.REQUEST)
        if (request.protocol, echo.type) != wanted or echo.available < 8:
            return None
        ping = self._asked(quoted.dst_bytes, echo)
        if ping is not None:
            ping.error = _error(ping.address, ip_address(speaker), view)
        return ping if ping and ping.error else None


def _closed() -> DeviceClosed:
    return DeviceClosed("the host is closed")


def _error(target: Address, speaker: Address, view: ICMPView | ICMPv6View) -> DeviceError | None:
    """Return the error that an ICMP message means, or None if it ends nothing."""
    four = target.version == 4
    too_big = (view.type, view.code) == (ICMPType.UNREACHABLE, _FRAGMENTATION_NEEDED)
    if too_big if four else view.type == ICMPv6Type.PACKET_TOO_BIG:
        return PacketTooBig(f"{target}: the packet is too long for the way there, mtu is {view.mtu}, says {speaker}")
    ending = _ENDINGS[target.version].get(view.type)
    return DeviceError(f"{target}: {ending}, says {speaker}", errno.EHOSTUNREACH) if ending else None
