"""Opening a kernel device, whole: make it, configure it, and leave nothing behind if a step fails."""

from __future__ import annotations

import contextlib
import os

import attrs

from .configure import Settings, configure
from .namespace import enter, open_namespace
from .origin import HERE, Origin
from .port import KernelPort
from .tunfile import Kind, adopt_device, open_device
from .worker import in_thread

__all__ = ["adopt_port", "open_port"]

QUEUE_LENGTH = 1000
"""Packets a new interface keeps for the application; the kernel's own default, 500, loses bursts."""


async def open_port(
    kind: Kind, name: str, settings: Settings, netns: str | None = None, origin: Origin = HERE
) -> KernelPort:
    """
    Open *name* in the namespace *netns*, or of *origin*, and configure it.

    Waits some milliseconds, without blocking the loop. If cancelled, the device is closed first. An
    interface that was there before, a persistent one, gets only the settings that were given.

    Raises:
        ValueError, PermissionError, DeviceError: As open_device() and configure().
    """

    def open() -> KernelPort:
        with contextlib.ExitStack() as undo:
            if netns is not None:
                fd = open_namespace(netns)
                undo.callback(os.close, fd)
                enter(fd)
            file = open_device(kind, name, origin)
            with contextlib.ExitStack() as close:
                close.callback(file.close)
                given = settings if file.persistent else _for_new(settings, kind)
                configure(file.interface()[0], given, origin.make_socket)
                port = KernelPort(file)
                close.pop_all()
        return port

    return await in_thread(open, discard=KernelPort.close_now)


def adopt_port(fd: int, kind: Kind) -> KernelPort:
    """Take over an open descriptor; the port owns it. See Tun.from_fd()."""
    return KernelPort(adopt_device(fd, kind))


def _for_new(settings: Settings, kind: Kind) -> Settings:
    """Fill in what a new interface shall be where the caller did not say."""
    if settings.queue_length is None:
        settings = attrs.evolve(settings, queue_length=QUEUE_LENGTH)
    if settings.ipv6_linklocal is None and kind == "tun":
        settings = attrs.evolve(settings, ipv6_linklocal=False)
    return settings
