"""Actions that configure an interface: up and down, addresses, queues, requests, sysctl."""

from __future__ import annotations

import errno
import struct
from collections import Counter
from typing import Any

from aiotun.driver import TunInfo
from aiotun.driver.requests import Request, decode, encode

from .core import DEVICES, MTUS, Core, action, address_of, number_of
from .pair import answer, expected
from .paths import Refused
from .queues import Bag, make_queue
from .requests import ASKED, SOCKADDRS, ioctl, sockaddr

__all__ = ["Configuring"]

MACS = ("f2:0b:a4:00:00:09", "2:0:0:0:0:1", "02:00:00:00:00:01", "x", "02:00:00:00:00", "02-00-00-00-00-01", "0" * 18)


class Configuring(Core):
    """Actions that configure an interface: up and down, addresses, queues, requests, sysctl."""

    @action(4, which=DEVICES, on=3)
    def set_up(self, which: int, on: int) -> None:
        self.up(self._pair(which), on > 0)

    @action(2, which=DEVICES, mtu=len(MTUS))
    def set_mtu(self, which: int, mtu: int) -> None:
        pair = self._pair(which)
        self._both(lambda: pair.real.set_mtu(MTUS[mtu]), lambda: pair.model.set_mtu(MTUS[mtu]))

    @action(3, which=DEVICES, address=4, add=2)
    def change_address(self, which: int, address: int, add: int) -> None:
        pair = self._pair(which)
        one = address_of(pair.model.kind, pair.model.name, address)
        if add:
            self._both(lambda: pair.real.add_address(one), lambda: pair.model.add_address(one))
        else:
            self._both(lambda: pair.real.remove_address(one), lambda: pair.model.remove_address(one))

    @action(2, which=DEVICES)
    def toggle_enabled(self, which: int) -> None:
        """Switch the announcing of packets; not under an endpoint, which would rightly sleep on."""
        pair = self._pair(which)
        if pair.endpoint is None:
            pair.real.enabled = pair.model.enabled = not pair.model.enabled

    @action(5, which=DEVICES, kind=9)
    def change_queue(self, which: int, kind: int) -> None:
        pair = self._pair(which)
        old = pair.model.queue
        real, naive = make_queue(kind, pair.model.header)
        pair.real.snd = real
        if isinstance(old, Bag):
            old.dropped = Counter(old.real.statistics().dropped)
        pair.model.requeue(naive)
        if isinstance(old, Bag):
            pair.sync()

    @action(10, which=DEVICES, request=len(ASKED), value=8, packed=3)
    def ask(self, which: int, request: int, value: int, packed: int) -> None:
        """An ioctl, with a value or with the structure of the C header."""
        pair = self._pair(which)
        number, values = ASKED[request]
        given = values[value % len(values)]
        if number in SOCKADDRS:
            given = sockaddr(given.format(number_of(pair.model.kind, pair.model.name)))
        device: Any = pair.real
        known = Request(number) if number in set(Request) else None
        if packed == 0 and known is not None and _fits(known, given):
            octets = bytes(known.size) if given is None else encode(known, given)
            theirs = answer(lambda: device.ioctl(number, octets))
            if theirs[0] == "returned" and given is None and known.gives:
                theirs = ("returned", _unpacked(known, theirs[1]))
            elif theirs[0] == "returned":
                assert theirs[1] == octets
                theirs = ("returned", None)
        else:
            theirs = answer(lambda: device.ioctl(number, given))
        if number == Request.SIOCGIFMEDIA and theirs[0] == "returned":
            theirs = ("returned", (theirs[1].current, theirs[1].active))
        ours = expected(lambda: ioctl(pair.model, number, given))
        if not (pair.model.loose and number == Request.FIONREAD):
            assert theirs == ours, (known, theirs, ours)

    @action(2, which=DEVICES, mac=len(MACS), write=2)
    def sysctl(self, which: int, mac: int, write: int) -> None:
        model = self._pair(which).model
        name, text = f"net.link.tap.{model.name}", MACS[mac]

        def theirs() -> object:
            if write:
                self.host.sysctl[name] = text
                return None
            return self.host.sysctl[name]

        def ours() -> object:
            there = self.model.devices.get(model.name)
            if there is None or there.tun:
                raise Refused("KeyError")
            if not write:
                return there.mac.hex(":")
            groups = text.split(":")
            if not 11 <= len(text) <= 17 or len(groups) != 6:
                raise Refused("DeviceError", errno.EINVAL)
            there.mac = bytes(int(group, 16) for group in groups)
            return None

        self._both(theirs, ours)


def _fits(request: Request, value: object) -> bool:
    try:
        return value is None or bool(encode(request, value))  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False


def _unpacked(request: Request, octets: bytes) -> Any:
    """Read what a request gave; what is plain, with a layout of the test's own."""
    if request is Request.TUNGIFINFO:
        return TunInfo(*struct.unpack("=iHBx", octets))
    if request is Request.TAPGIFNAME:
        return octets[:16].rstrip(b"\0").decode()
    if request.takes:
        return decode(request, octets)
    return struct.unpack("=i", octets)[0]
