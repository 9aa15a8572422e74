"""Opening a kernel device, whole: make it, configure it, and leave nothing behind if a step fails."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sequence

import attrs

from ..errors import DeviceError
from .configure import Settings, configure
from .constants import CLONE_DEVICE, MAX_QUEUES
from .denials import too_many_queues
from .namespace import enter, open_namespace
from .origin import HERE, Origin
from .port import KernelPort
from .sharing import SharedTransaction
from .terms import Terms, set_owner, set_persistent
from .transaction import Transaction
from .tunfile import Kind, TunFile
from .tunopen import adopt_device, another_queue, open_device
from .worker import in_thread

__all__ = ["adopt_port", "open_port", "open_ports"]

PLAIN = Terms()

QUEUE_LENGTH = 1000
"""Packets a new interface keeps for the application; the kernel's own default, 500, loses bursts."""


async def open_port(
    kind: Kind, name: str, settings: Settings, netns: str | None = None, origin: Origin = HERE
) -> KernelPort:
    """Open a device as open_ports() does, with the one queue it has."""
    (port,) = await open_ports(kind, name, settings, netns, origin)
    return port


async def open_ports(
    kind: Kind,
    name: str,
    settings: Settings,
    netns: str | None = None,
    origin: Origin = HERE,
    terms: Terms = PLAIN,
) -> list[KernelPort]:
    """
    Open *name* in the namespace *netns*, or of *origin*, and configure it.

    Waits some milliseconds, without blocking the loop; for seconds where a tap's IPv6 address is checked for
    duplicates. If cancelled, everything is undone first. An interface that was there before, a persistent one, gets
    only the settings that were given, and what it had comes back when the port is closed.

    Raises:
        ValueError, PermissionError, DeviceError: As open_device() and configure().
    """

    if settings.dns and (netns is not None or origin is not HERE):
        raise ValueError("dns is the machine's, not one of a network namespace: leave it out")
    if terms.queues is not None and terms.queues > MAX_QUEUES:
        raise too_many_queues(name, terms.queues)

    def open() -> list[KernelPort]:
        with contextlib.ExitStack() as undo:
            if netns is not None:
                fd = open_namespace(netns)
                undo.callback(os.close, fd)
                enter(fd)
            file = open_device(kind, name, origin, terms)
            with contextlib.ExitStack() as close:
                close.callback(file.close)
                _own(file, terms)
                given = settings if file.found else _for_new(settings, kind)
                transaction = Transaction(file.interface()[0], origin)
                close.callback(transaction.end)
                configure(transaction, given, lasting=file.found, stop=stop)
                files = [file]
                for _ in range(1, terms.queues or 1):
                    files.append(another_queue(file, kind))
                    close.callback(files[-1].close)
                ports = [port_over(each) for each in files]
                shared = SharedTransaction(transaction, len(ports)) if len(ports) > 1 else transaction
                for port in ports:
                    port.transaction = shared
                if terms.persistent and not file.persistent:
                    set_persistent(file.fd, ports[0].name, True)  # last: whatever fails before deletes a new device
                close.pop_all()
        return ports

    stop = os.eventfd(0, os.EFD_CLOEXEC)
    try:
        return await in_thread(open, discard=lambda ports: _close(ports, terms), stop=lambda: os.eventfd_write(stop, 1))
    finally:
        os.close(stop)


def adopt_port(fd: int, kind: Kind) -> KernelPort:
    """Take over an open descriptor; the port owns it. See Tun.from_fd()."""
    return port_over(adopt_device(fd, kind))


def port_over(file: TunFile) -> KernelPort:
    """Return the port of an open device, by what stands before its packets."""
    if file.offloading is None:
        return KernelPort(file)
    from .offload_port import OffloadPort  # late: it takes apart packets

    return OffloadPort(file)


def _own(file: TunFile, terms: Terms) -> None:
    """Give the device its owner, or say that it has none."""
    name, _ = file.interface()
    # Where it cannot be asked, one that was there before is taken for somebody's.
    owned = file.persistent if file.info is None else (file.info.owner, file.info.group) != (None, None)
    terms = terms.with_owner(found=file.found, owned=owned)
    set_owner(file.fd, name, owner=terms.owner, group=terms.owner_group)
    if file.persistent and not owned and (terms.owner, terms.owner_group) == (None, None):
        warnings.warn(
            f"{name}: this persistent device has no owner, so everybody who may open {CLONE_DEVICE} may attach to it; "
            f"give it one: `ip tuntap add ... user $USER`, or open it with owner=",
            RuntimeWarning,
            stacklevel=2,
        )


def _close(ports: Sequence[KernelPort], terms: Terms) -> None:
    """Close what a cancelled opening made."""
    first = ports[0]
    if terms.persistent and not first.persistent:
        with contextlib.suppress(DeviceError):  # it is gone
            first.device.persistent = False
    for port in reversed(ports):
        port.close_now()


def _for_new(settings: Settings, kind: Kind) -> Settings:
    """Fill in what a new interface shall be where the caller did not say."""
    if settings.queue_length is None:
        settings = attrs.evolve(settings, queue_length=QUEUE_LENGTH)
    if settings.ipv6_linklocal is None and kind == "tun":
        settings = attrs.evolve(settings, ipv6_linklocal=False)
    return settings
