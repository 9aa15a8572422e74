"""The Linux kernel as the judge of offload: a device it takes super-packets from, and one it gives segments to."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from aiotun.packet import VNET_TUNNEL_HEADER_SIZE, pack_vnet

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 1, 2, 0x1000, 0x4000
TUNSETOFFLOAD = 0x400454D0
TUNSETVNETHDRSZ = 0x400454D8
EVERY_OFFLOAD = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40  # TUN_F_: CSUM, TSO4, TSO6, TSO_ECN, USO4, USO6

LARGEST = 65535

# What comes from where the tests' packets come from; the kernel has some of its own to send.
PACKETS = re.compile(rb"(?s)[\x40-\x4f].{11}\x0a\0|[\x60-\x6f].{7}\xfd\0\0\x0a")
FRAMES = re.compile(rb"(?s).{6}\x02\0\0\0\0\x01")

TUN_SETUP = """
link set source mtu 65535 addrgenmode none
link set sink mtu 65535 addrgenmode none txqueuelen 70000
link set source up
link set sink up
address add 10.0.0.1/16 dev source
address add 10.1.0.1/16 dev sink
address add fd00:a::1/64 dev source nodad
address add fd00:b::1/64 dev sink nodad
"""

TAP_SETUP = """
link add bridge type bridge forward_delay 0 mcast_snooping 0
link set source mtu 65521 addrgenmode none
link set sink mtu 65521 addrgenmode none txqueuelen 70000
link set source master bridge
link set sink master bridge
link set bridge addrgenmode none
link set source up
link set sink up
link set bridge up
"""


class Kernel:
    """Two devices of the kernel's that carry packets from the first, with vnet headers, to the second, without."""

    def __init__(self, source: int, sink: int, senders: re.Pattern[bytes]) -> None:
        self._source = source
        self._sink = sink
        self._senders = senders

    def forward(self, packet: bytes) -> list[bytes]:
        """Write *packet* with its vnet header, and return all that has come out of the other device by then."""
        self.write(pack_vnet(packet, VNET_TUNNEL_HEADER_SIZE), packet)
        return [answer for answer in self._read() if self._senders.match(answer)]

    def write(self, header: bytes, packet: bytes) -> None:
        os.writev(self._source, [header, packet])

    def _read(self) -> Iterator[bytes]:
        while True:
            try:
                yield os.read(self._sink, LARGEST + 100)
            except BlockingIOError:
                return


@contextmanager
def kernel(*, ethernet: bool = False) -> Iterator[Kernel]:
    """Make the two devices, in a namespace of their own: tuns with a router between them, or taps with a bridge."""
    with ExitStack() as stack:
        stack.enter_context(_elsewhere())
        kind = IFF_TAP if ethernet else IFF_TUN
        source, sink = _device("source", kind | IFF_VNET_HDR), _device("sink", kind)
        stack.callback(os.close, source)
        stack.callback(os.close, sink)
        fcntl.ioctl(source, TUNSETOFFLOAD, EVERY_OFFLOAD)
        fcntl.ioctl(source, TUNSETVNETHDRSZ, struct.pack("i", VNET_TUNNEL_HEADER_SIZE))
        for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            Path("/proc/sys/net", switch).write_text("1")
        subprocess.run(["ip", "-batch", "-"], input=TAP_SETUP if ethernet else TUN_SETUP, text=True, check=True)
        yield Kernel(source, sink, FRAMES if ethernet else PACKETS)


def _device(name: str, flags: int) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags | IFF_NO_PI))
    return device


@contextmanager
def _elsewhere() -> Iterator[None]:
    """Be in a new network namespace; it goes when the devices do."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network namespace")
        try:
            yield
        finally:
            libc.setns(home, CLONE_NEWNET)
    finally:
        os.close(home)
