"""
Use a tun and a tap as a C program on a BSD does: open /dev/tun, ioctl(), SIGIO, read().

::

    python examples/tun_ioctls.py

The devices are in-process ones, with the requests of DragonFly's if_tun and NetBSD's if_tap under the BSDs' numbers.
A request takes the packed structure of the C headers, as fcntl.ioctl() does, or the value that is in it. Nothing here
waits, and there is no endpoint: what the endpoint does for you is done by hand.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct

import aiotun
from aiotun.driver import Credentials, Request, SockAddr, TapDevice, TunDevice
from aiotun.packet import UDP, IPv4, Protocol, describe

TUNINFO = struct.Struct("=iHBx")  # struct tuninfo: baudrate, mtu, type
INT = struct.Struct("=i")
IFREQ = struct.Struct("16s16s")  # struct ifreq: the name, and here an address
SOCKADDR_IN = struct.Struct("!BBH4s8x")  # struct sockaddr_in: its length, family, port, address

PACKET = IPv4("10.9.0.1", "10.9.0.2", Protocol.UDP, UDP(4000, 9, b"hello").build("10.9.0.1", "10.9.0.2")).build()


def use_tun(host: aiotun.SoftHost) -> None:
    tun = host.dev["tun"].open(Credentials())  # root, in this process
    assert isinstance(tun, TunDevice)
    print(f"/dev/tun: {tun.name}, nodes: {' '.join(host.dev)}")

    # Packed, as in C: mtu and speed, the family in front of each packet, an address (which brings the interface up).
    tun.ioctl(Request.TUNSIFINFO, TUNINFO.pack(1_000_000, 1400, 23))
    tun.ioctl(Request.TUNSIFHEAD, INT.pack(1))
    address = SOCKADDR_IN.pack(SOCKADDR_IN.size, socket.AF_INET, 0, socket.inet_aton("10.9.0.1"))
    tun.ioctl(Request.SIOCSIFADDR, IFREQ.pack(tun.name.encode(), address))
    print("packed:", *TUNINFO.unpack(packed(tun.ioctl(Request.TUNGIFINFO, bytes(TUNINFO.size)))))

    # The same by values.
    tun.ioctl(Request.SIOCSIFDSTADDR, SockAddr.of("10.9.0.2"))
    print("typed:", tun.ioctl(Request.TUNGIFINFO), repr(tun.flags))
    print("status:", str(tun.ioctl(Request.SIOCGIFSTATUS)).strip().replace(str(os.getpid()), "ours"))

    # SIGIO, once a packet can be read; FIONREAD says how long it is, its family included.
    signal.signal(signal.SIGIO, lambda number, frame: print("signal:", signal.Signals(number).name))
    tun.ioctl(Request.FIOSETOWN, os.getpid())
    tun.ioctl(Request.FIOASYNC, 1)
    host.routes.add("10.9.0.2/32", tun.name)
    host.send(PACKET)
    print("FIONREAD:", tun.ioctl(Request.FIONREAD), "bytes")
    octets = tun.read()
    print("read:", int.from_bytes(octets[:4], "big"), describe(octets[4:]))
    tun.close()
    print(f"closed: {tun.name} is {'up' if tun.up else 'down'}, addresses {tun.addresses}")


def use_tap(host: aiotun.SoftHost) -> None:
    tap = host.dev["tap"].open(Credentials())
    assert isinstance(tap, TapDevice)
    name = packed(tap.ioctl(Request.TAPGIFNAME, bytes(Request.TAPGIFNAME.size)))[:16].rstrip(b"\0").decode()
    print(f"/dev/tap: {name}")
    host.sysctl[f"net.link.tap.{name}"] = "f2:0b:a4:0:0:1"
    print(host.sysctl.describe("net.link.tap"))
    try:
        tap.ioctl(Request.TUNGIFINFO)
    except aiotun.DeviceError as error:
        print(f"ENOTTY: {error}")
    tap.close()  # made by opening the cloning node, it dies with its close
    print("left:", *host.interfaces)


def packed(answer: object) -> bytes:
    """Return what a request given a packed structure answers: a packed structure."""
    assert isinstance(answer, bytes)
    return answer


async def main() -> None:
    async with aiotun.SoftHost() as host:
        use_tun(host)
        use_tap(host)


if __name__ == "__main__":
    asyncio.run(main())
