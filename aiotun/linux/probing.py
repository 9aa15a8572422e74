"""
What this kernel's tun driver does, found out by trying it on scratch devices.

They are made in a private network, where nobody sees them; where there may be none, in this one, down and without
an address, for some 0.1 s.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import attrs

from ..endpoint import Capabilities
from .capabilities import IFF_NO_CARRIER, OFFLOADS, SINCE, kernel_features
from .constants import (
    IFF_MULTI_QUEUE,
    IFF_NAPI,
    IFF_NAPI_FRAGS,
    IFF_NO_PI,
    IFF_TAP,
    IFF_TUN,
    IFF_VNET_HDR,
    IFREQ,
    INT,
    TUNGETIFF,
    TUNSETCARRIER,
    TUNSETFILTEREBPF,
    TUNSETIFF,
    TUNSETOFFLOAD,
    TUNSETSTEERINGEBPF,
    TUNSETVNETHDRSZ,
)
from .denials import explain_attach, explain_open
from .kept import KeptNamespace
from .origin import HERE, Origin
from .worker import in_thread

__all__ = ["known_probe", "probe_kernel", "probe_now", "probe_origin", "shortfall"]

VNET_HEADER_SIZES = (10, 12)
"""Bytes of struct virtio_net_hdr and virtio_net_hdr_mrg_rxbuf."""
NO_PROGRAM = -1
"""In the place of a BPF program: take away the one there is."""

SCRATCH = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE
FALLBACK = IFF_TUN | IFF_NO_PI

Do = Callable[[int], object]
"""Tries something on the descriptor of a scratch device, and raises OSError if the kernel refuses."""

_known: Capabilities | None = None
_probing = threading.Lock()


@attrs.frozen
class Trial:
    """What is tried: all these names work, or none."""

    names: tuple[str, ...]
    do: Do


async def probe_kernel() -> Capabilities:
    """Return what probe_now() does, without blocking the loop."""
    return await in_thread(probe_now) if _known is None else _known


def probe_now() -> Capabilities:
    """
    Return what this kernel's driver does: ``probed``, and in ``off`` what it refuses. Tries it once a process.

    Blocks for some 0.2 s the first time.

    Raises:
        PermissionError, DeviceError: If this user can have no device at all, with the remedy.
    """
    global _known
    with _probing:
        found = _known
        if found is None:
            with _scratch_origin() as origin:
                _known = found = probe_origin(origin)
    return found


def known_probe() -> Capabilities | None:
    """Return what probe_now() found out, if it was called before."""
    return _known


def probe_origin(origin: Origin) -> Capabilities:
    """Try everything on scratch devices of *origin*."""
    probed: set[str] = set()
    off: dict[str, str] = {}
    with ExitStack() as undo:
        device = _open(origin, undo, SCRATCH, FALLBACK)
        features = kernel_features(device)
        for trial in _trials(origin):
            try:
                trial.do(device)
            except OSError as error:
                off |= {name: shortfall(name, error.errno or 0, platform.release()) for name in trial.names}
            else:
                probed.update(trial.names)
        return Capabilities(features=features, probed=frozenset(probed), off=off)


def shortfall(name: str, code: int, release: str) -> str:
    """Say why the kernel refused *name*: with which errno, and which Linux has it if this one is older."""
    if code == errno.EPERM:
        return "not allowed (EPERM): it takes CAP_NET_ADMIN in the machine's own user namespace"
    said = f"the kernel refuses it: {errno.errorcode.get(code, str(code))}"
    since = SINCE.get(name)
    version = re.match(r"(\d+)\.(\d+)", release)
    if since and version and (int(version[1]), int(version[2])) < since:
        return f"{said}; it needs Linux {since[0]}.{since[1]}, this is {release}"
    return said


@contextmanager
def _scratch_origin() -> Iterator[Origin]:
    try:
        kept = KeptNamespace.start()
    except OSError:  # no private network for this user; but there may be a device
        yield HERE
        return
    try:
        yield kept
    finally:
        kept.close()


def _trials(origin: Origin) -> Iterator[Trial]:
    for offload in OFFLOADS:
        yield Trial(offload.names, _offload(offload.mask))
    for name, flags in (
        ("IFF_VNET_HDR", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR),
        ("IFF_NAPI", IFF_TUN | IFF_NO_PI | IFF_NAPI),
        ("IFF_NAPI_FRAGS", IFF_TAP | IFF_NO_PI | IFF_NAPI | IFF_NAPI_FRAGS),
        ("IFF_NO_CARRIER", IFF_TUN | IFF_NO_PI | IFF_NO_CARRIER),
    ):
        yield Trial((name,), _opening(origin, flags))
    yield Trial(("IFF_MULTI_QUEUE",), _second_queue(origin))
    yield Trial(("TUNSETVNETHDRSZ",), _header_sizes)
    yield Trial(("TUNSETCARRIER",), lambda fd: fcntl.ioctl(fd, TUNSETCARRIER, INT.pack(0)))
    for name, request in (("TUNSETSTEERINGEBPF", TUNSETSTEERINGEBPF), ("TUNSETFILTEREBPF", TUNSETFILTEREBPF)):
        yield Trial((name,), _without_program(request))


def _offload(mask: int) -> Do:
    def do(fd: int) -> None:
        fcntl.ioctl(fd, TUNSETOFFLOAD, mask)
        fcntl.ioctl(fd, TUNSETOFFLOAD, 0)

    return do


def _opening(origin: Origin, flags: int) -> Do:
    def do(fd: int) -> None:
        with ExitStack() as undo:
            opened = _attached(origin, undo, "probe%d", flags)
            granted = IFREQ.unpack(fcntl.ioctl(opened, TUNGETIFF, IFREQ.pack(b"", 0)))[1]
            # IFF_NO_CARRIER is an order and no property: it is not reported (tun_flags() in drivers/net/tun.c).
            if flags & ~IFF_NO_CARRIER & ~granted:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            if flags & IFF_NO_CARRIER and "IFF_NO_CARRIER" not in kernel_features(opened):
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))  # an older kernel ignores the bit

    return do


def _second_queue(origin: Origin) -> Do:
    def do(fd: int) -> None:
        name = IFREQ.unpack(fcntl.ioctl(fd, TUNGETIFF, IFREQ.pack(b"", 0)))[0].rstrip(b"\0").decode()
        with ExitStack() as undo:
            _attached(origin, undo, name, SCRATCH)

    return do


def _header_sizes(fd: int) -> None:
    for size in VNET_HEADER_SIZES:
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, INT.pack(size))


def _without_program(request: int) -> Do:
    return lambda fd: fcntl.ioctl(fd, request, INT.pack(NO_PROGRAM))


def _open(origin: Origin, undo: ExitStack, *choices: int) -> int:
    """Open a scratch device with the first of these flags that the kernel takes."""
    *better, last = choices
    for flags in better:
        try:
            return _attached(origin, undo, "probe%d", flags)
        except OSError as error:
            if error.errno != errno.EINVAL:
                break
    try:
        fd = origin.open_clone_device()
    except OSError as error:
        explain_open(error)
    undo.callback(os.close, fd)
    try:
        fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(b"probe%d", last))
    except OSError as error:
        explain_attach(error, "tun", "probe%d", last, origin)
    return fd


def _attached(origin: Origin, undo: ExitStack, name: str, flags: int) -> int:
    """Open a device; *undo* closes it."""
    fd = origin.open_clone_device()
    undo.callback(os.close, fd)
    fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(name.encode(), flags))
    return fd
