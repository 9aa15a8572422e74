"""A VXLAN over an endpoint of the kernel, and what to send through it."""

from __future__ import annotations

import os
import socket
import struct
import subprocess

import pytest

from aiotun.endpoint import Tap, Tun

UDP_SEGMENT = 103
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_REPAIR_OPTIONS, TCP_REPAIR_WINDOW = 19, 20, 21, 22, 29
NEAR = {4: "10.9.0.1", 6: "fd09::1"}
FAR = {4: "10.9.0.2", 6: "fd09::2"}
INSIDE = {4: "10.8.0.2", 6: "fd08::2"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

SETUP = """
link add vx type vxlan id 7 dstport 4789 local {near} remote {far} dev {name} {csum}
link set vx address 02:00:00:00:00:01 addrgenmode none mtu 1400
link set vx up
address add 10.8.0.1/24 dev vx
address add fd08::1/64 dev vx nodad
neighbor replace 10.8.0.2 lladdr 02:00:00:00:00:02 dev vx
neighbor replace fd08::2 lladdr 02:00:00:00:00:02 dev vx
"""
CSUM = {
    4: {True: "udpcsum", False: "noudpcsum"},
    6: {True: "noudp6zerocsumtx", False: "udp6zerocsumtx noudp6zerocsumrx"},
}


def grants_tunnels() -> bool:
    """Whether this kernel knows TUN_F_UDP_TUNNEL_GSO, and VXLAN."""
    return tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 17)


needs_tunnels = pytest.mark.skipif(not grants_tunnels(), reason="the kernel hands out no tunnels before Linux 6.17")


def vxlan(endpoint: Tun | Tap, version: int = 4, csum: bool = True) -> None:
    """Make a VXLAN over the interface."""
    batch = SETUP.format(near=NEAR[version], far=FAR[version], name=endpoint.name, csum=CSUM[version][csum])
    if isinstance(endpoint, Tap):
        batch += f"neighbor replace {FAR[version]} lladdr 02:00:00:00:00:03 dev {endpoint.name}\n"
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)


def send_train(version: int = 4, size: int = 4500) -> bytes:
    """Send UDP through the VXLAN that the stack leaves to be cut, if it may; return the payload."""
    payload = os.urandom(size)
    with socket.socket(FAMILY[version], socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
        sock.sendto(payload, (INSIDE[version], 9))
    return payload


def connected(version: int) -> socket.socket:
    """Return a TCP connection through the VXLAN with nobody at its other end, which has room for 60000 bytes."""
    sock = socket.socket(FAMILY[version], socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    for queue in (1, 2):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue)
        sock.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, struct.pack("I", 2**32 - 2000))
    sock.connect((INSIDE[version], 9))
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_OPTIONS, struct.pack("II", 2, 1300))
    window = struct.pack("5I", 0, 60000, 60000, 60000, 2**32 - 2000)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_WINDOW, window)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
    return sock
