"""What the measured programs share: attaching to a tun without aiotun, saying that they are ready, and the loop."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import fcntl
import json
import os
import struct
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiotun import Tun

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
OFFLOADS = 0x01 | 0x02 | 0x04 | 0x20 | 0x40
"""TUN_F_CSUM, TSO4, TSO6, USO4, USO6: linux/if_tun.h."""
CLONE_NEWNET = 0x40000000

READ_SIZE = 65536 + 10
"""Bytes offered to each read, as in the C references."""


def split(where: str) -> tuple[str, str]:
    """Return namespace and name of ``NAMESPACE/NAME``."""
    namespace, _, name = where.partition("/")
    return namespace, name


@contextmanager
def within(namespace: str) -> Iterator[None]:
    """Be in the network namespace of that name. (os.setns() is Python 3.12.)"""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC))
        yield
    finally:
        _enter(home)


def _enter(namespace: int) -> None:
    """Go into the network namespace *namespace*, and close the descriptor."""
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(namespace)


def attach(where: str, *, vnet: bool = False, blocking: bool = False) -> int:
    """Attach to the tun ``NAMESPACE/NAME`` with plain system calls: whole packets, with *vnet* and every offload."""
    namespace, name = split(where)
    with within(namespace):
        fd = os.open("/dev/net/tun", os.O_RDWR | (0 if blocking else os.O_NONBLOCK))
    flags = IFF_TUN | IFF_NO_PI | (IFF_VNET_HDR if vnet else 0)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    plain(fd)
    if vnet:
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", 10))
        fcntl.ioctl(fd, TUNSETOFFLOAD, OFFLOADS)
    return fd


def plain(fd: int) -> None:
    """Take back the offloads that an earlier holder left switched on."""
    fcntl.ioctl(fd, TUNSETOFFLOAD, 0)


def tun_at(where: str, **options: Any) -> AbstractAsyncContextManager[Tun]:
    """Return what opens the tun ``NAMESPACE/NAME`` with aiotun."""
    import aiotun  # here: what does without it does not load it

    namespace, name = split(where)
    return aiotun.open_tun(name, netns=namespace, **options)


def say_ready() -> None:
    """Tell the rig that traffic may begin."""
    print("ready", flush=True)


def report(figures: Mapping[str, float]) -> None:
    print(json.dumps(dict(figures)), flush=True)


def loop_of(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes asyncio's own loop or uvloop's."""
    if name == "uvloop":
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
        return factory
    return asyncio.new_event_loop


def run(loop: str, main: Coroutine[None, None, None]) -> None:
    """Run *main* on that loop."""
    with asyncio.Runner(loop_factory=loop_of(loop)) as runner:
        runner.run(main)


def arguments(description: str | None, variants: Iterable[str]) -> argparse.ArgumentParser:
    """Return a parser with the options that these programs have in common."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=list(variants), required=True)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    return parser
