"""Why a tun or tap could not be opened, and what to do about it."""

from __future__ import annotations

import errno
from typing import NoReturn

from ..errors import DeviceBusy, DeviceError, device_error
from .constants import CLONE_DEVICE, IFF_MULTI_QUEUE, IFF_NAPI_FRAGS, MAX_QUEUES
from .holders import holders
from .origin import Origin
from .rtnetlink import open_netlink, query_link

__all__ = ["explain_attach", "explain_open", "too_many_queues"]

OPEN_REMEDIES = {
    errno.ENOENT: "there is none; `modprobe tun`, or give the container the device (--device /dev/net/tun)",
    errno.ENODEV: "the kernel has no tun driver; `modprobe tun`, or build it with CONFIG_TUN",
    errno.ENXIO: "the kernel has no tun driver; `modprobe tun`, or build it with CONFIG_TUN",
    errno.EACCES: "its file mode forbids it; run as root, or `chmod 0666 /dev/net/tun` as most systems have it",
    errno.EPERM: "the container forbids it; allow the device (--device /dev/net/tun)",
}

NEEDS_ADMIN = (
    "it takes CAP_NET_ADMIN: run as root, or grant it (`setcap cap_net_admin+ep` on the interpreter, "
    "AmbientCapabilities= in a systemd unit), or let root make a device for you "
    "(`ip tuntap add dev {name} mode {kind} user $USER`), or use aiotun.PrivateHost or aiotun.SoftHost, "
    "which need no privilege"
)

FRAGS_NEED_ADMIN = (
    "napi_frags takes CAP_NET_ADMIN in the machine's own user namespace, whatever the device's: "
    "open it without, or as root"
)


def explain_open(error: OSError) -> NoReturn:
    """Raise what a refused open() of the clone device means."""
    remedy = OPEN_REMEDIES.get(error.errno or 0)
    if remedy is None:
        raise error
    message = f"cannot open {CLONE_DEVICE}: {remedy}"
    if isinstance(error, PermissionError):
        raise PermissionError(error.errno, message) from error
    raise device_error(error, message) from error


def explain_attach(error: OSError, kind: str, name: str, flags: int, origin: Origin) -> NoReturn:
    """Raise what a refused TUNSETIFF means."""
    if error.errno == errno.EPERM:
        remedy = FRAGS_NEED_ADMIN if flags & IFF_NAPI_FRAGS else NEEDS_ADMIN
        remedy = remedy.format(name=name.replace("%d", "0"), kind=kind)
        raise PermissionError(errno.EPERM, f"{name}: not allowed to open this {kind}; {remedy}") from error
    if error.errno == errno.EBUSY:
        held = ", ".join(holders(name, origin.holds)) or "a process this user may not look into"
        raise DeviceBusy(f"{name}: held by {held}") from error
    if error.errno == errno.E2BIG:
        raise too_many_queues(name, MAX_QUEUES + 1) from error
    if error.errno == errno.EINVAL:
        raise DeviceError(f"{name}: {_existing(name, kind, flags, origin)}", errno.EINVAL) from error
    raise device_error(error, f"{name}: cannot open this {kind}: {error.strerror}") from error


def too_many_queues(name: str, queues: int) -> DeviceError:
    """Return the error of a device that is asked for more queues than the kernel gives."""
    return DeviceError(f"{name}: cannot have {queues} queues, {MAX_QUEUES} is the most", errno.E2BIG)


def _existing(name: str, kind: str, flags: int, origin: Origin) -> str:
    """Say why the kernel took a valid name for invalid: there is such an interface, and it is something else."""
    try:
        with open_netlink(origin.make_socket) as netlink:
            found = query_link(netlink, name).kind
    except OSError:
        return f"the kernel refused to make a {kind} of this name"
    several = bool(flags & IFF_MULTI_QUEUE)
    wanted = f"multi-queue {kind}" if several else f"{kind} with a single queue"
    remedy = ""
    if found in (kind, f"multi-queue {kind}"):  # the number of queues is all that differs
        remedy = "; open it without queues=" if several else "; open it with queues=1, or more"
    return f"an interface of this name exists and is {_article(found)}, not a {wanted}{remedy}"


def _article(kind: str) -> str:
    return f"a {kind}" if kind else "no tun or tap at all"
