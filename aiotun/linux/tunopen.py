"""Opening a ``/dev/net/tun``: by name, one queue more, or by a descriptor that somebody else opened."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os

from ..endpoint.names import check_name
from ..errors import DeviceError, DeviceGone, device_error
from .constants import IFF_NO_PI, IFF_TAP, IFF_TUN, IFF_VNET_HDR, IFREQ, TUNSETIFF, TUNSETOFFLOAD, flag_names
from .denials import explain_attach, explain_open
from .ethtool import active_features
from .offload import Offloading, own_offload, shared_header
from .origin import HERE, Origin
from .terms import Terms
from .tunfile import Kind, TunFile

__all__ = ["adopt_device", "another_queue", "open_device"]

KIND_FLAGS: dict[Kind, int] = {"tun": IFF_TUN, "tap": IFF_TAP}

FRAMING = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
"""The flags that say what stands in front of a packet: otherwise than asked for, it would be taken for the packet."""


def open_device(kind: Kind, name: str, origin: Origin = HERE, terms: Terms | None = None) -> TunFile:
    """
    Open *name* as a tun or a tap of *origin*, making it if it is not there; of several queues, the first.

    Blocks while the kernel creates the interface. Close-on-exec and non-blocking, no packet information
    header; a vnet header before each packet if the terms have offload.

    Raises:
        ValueError: If the name cannot be one.
        PermissionError, DeviceBusy, DeviceError: With the reason, and what to do about it.
    """
    check_name(name)
    if terms is None:
        return _attach(kind, name, KIND_FLAGS[kind] | IFF_NO_PI, origin)
    file = _attach(kind, name, KIND_FLAGS[kind] | IFF_NO_PI | terms.flags, origin)
    if terms.offload:
        try:
            shared = file.info is not None and file.info.queues > 1
            if shared:
                file.offloading = Offloading(shared_header(file.fd))
                file.offloading.switch(file.fd, terms.offload)
            else:
                file.offloading = own_offload(file.fd, terms.offload)
        except BaseException:
            file.close()
            raise
    return file


def another_queue(first: TunFile, kind: Kind) -> TunFile:
    """
    Open one more queue of the device that *first* is a queue of, with the same flags.

    Raises:
        DeviceError: If it has as many as it can have.
        DeviceGone: If it was deleted meanwhile, or renamed.
    """
    name, _ = first.interface()
    file = _attach(kind, name, first.asked, first._origin)
    if file._index != first._index:  # the name was free again, and the kernel has made a new device
        file.close()
        raise DeviceGone(f"{name}: was deleted or renamed while its queues were opened")
    file.offloading = first.offloading
    return file


def _attach(kind: Kind, name: str, flags: int, origin: Origin) -> TunFile:
    with contextlib.ExitStack() as undo:
        try:
            fd = origin.open_clone_device()
        except OSError as error:
            explain_open(error)
        file = TunFile(fd, flags, origin)
        undo.callback(file.close)
        try:
            fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(name.encode("utf-8", "surrogateescape"), flags))
        except OSError as error:
            explain_attach(error, kind, name, flags, origin)
        _settle(file)
        undo.pop_all()
    return file


def adopt_device(fd: int, kind: Kind, offload: frozenset[str] | None = None) -> TunFile:
    """
    Take over an open descriptor, one of several queues as well; see Tun.from_fd().

    With a vnet header it has *offload*; what it has, if that is None: the device may be others' too.

    Raises:
        DeviceError: If it is not a *kind* without packet information; the caller keeps it.
        ValueError: If the environment names an offload that there is not.
    """
    file = TunFile(fd, KIND_FLAGS[kind] | IFF_NO_PI)
    try:
        file.asked |= file.interface()[1] & IFF_VNET_HDR
        _settle(file)
        if file.asked & IFF_VNET_HDR:
            file.offloading = Offloading(shared_header(fd))
            if offload is None:
                name, _ = file.interface()
                file.offloading.find(file.in_namespace(lambda make: active_features(make, name)))
            else:
                file.offloading.switch(fd, offload)
    except ValueError:
        file.detach()
        raise
    except OSError as error:
        file.detach()
        raise device_error(error, f"descriptor {fd} cannot be adopted as a {kind}: {error.strerror}") from error
    os.set_inheritable(fd, False)
    os.set_blocking(fd, False)
    return file


def _settle(file: TunFile) -> None:
    """Read back what was granted, and forget offloads that an earlier holder left switched on."""
    file.settle()
    name, _ = file.interface()
    if (file.asked ^ file.granted) & FRAMING:
        raise DeviceError(
            f"{name}: asked for {_list(file.asked)}, but the device is {_list(file.granted)}; "
            f"an earlier holder opened it otherwise, and the kernel does not change it",
            errno.EINVAL,
        )
    if not file.asked & IFF_VNET_HDR:
        # The mask belongs to the interface and survives its holder: with it, checksums would come unfinished.
        fcntl.ioctl(file.fd, TUNSETOFFLOAD, 0)


def _list(flags: int) -> str:
    return " ".join(sorted(flag_names(flags)))
