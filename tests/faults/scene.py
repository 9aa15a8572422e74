"""What the rows are played with: both event loops, a device of the kernel, and a sender behind it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
import uvloop

import aiotun
from aiotun import packet
from aiotun.endpoint import Endpoint
from aiotun.testing import kernel_tun, soft_tun
from aiotun.testing.expect import parked

__all__ = [
    "ADDRESS",
    "PACKET",
    "MakeLoop",
    "descriptors",
    "exists",
    "forgotten",
    "ip",
    "iterate",
    "on_both_hosts",
    "on_both_loops",
    "opened",
    "run",
    "send_from_the_stack",
    "waited",
]

T = TypeVar("T")

MakeLoop = Callable[[], asyncio.AbstractEventLoop]

on_both_loops = pytest.mark.parametrize(
    "make", [pytest.param(asyncio.SelectorEventLoop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]
)
"""For tests that make their loops themselves."""

on_both_hosts = pytest.mark.parametrize(
    "make_rig", [pytest.param(soft_tun, id="soft"), pytest.param(kernel_tun, id="kernel", marks=pytest.mark.kernel)]
)

ADDRESS = "10.9.0.1/24"
PEER = ("10.9.0.2", 9)

PACKET = packet.IPv4("10.9.0.2", "10.9.0.1", 253).build().ljust(64, b"\0")
"""A packet that a tun takes, of the protocol for experiments (RFC 3692)."""


def ip(*arguments: str) -> None:
    """Change the network with the tool an administrator uses."""
    subprocess.run(["ip", *arguments], check=True)


def run(make: MakeLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* in a loop of its own."""
    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(coroutine)


def send_from_the_stack(*payloads: bytes) -> None:
    """Have the kernel send datagrams to the peer behind the device with ADDRESS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for payload in payloads:
            sock.sendto(payload, PEER)


def exists(name: str) -> bool:
    """Return whether there is an interface of that name here."""
    return name in (known for _, known in socket.if_nameindex())


def descriptors() -> dict[str, str]:
    """Return this process's open descriptors, and what they are of."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:  # the one that listed the directory
            continue
    return found


async def opened(name: str, **options: Any) -> aiotun.Tun:
    """Open a tun, in a coroutine that can be a task."""
    tun: aiotun.Tun = await aiotun.open_tun(name, **options)
    return tun


async def waited(endpoint: Endpoint) -> None:
    """Wait in recv() for nothing, and be cancelled: the loop goes on watching the device."""
    task = await parked(endpoint.recv())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def iterate(endpoint: Endpoint) -> list[bytes]:
    """Return every packet until the end."""
    return [one async for one in endpoint]


def forgotten(task: asyncio.Task[Any]) -> None:
    """Destroy a task of a closed loop, as the garbage collector does, without asyncio's complaint about it."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()
