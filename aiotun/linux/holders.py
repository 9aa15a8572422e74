"""Who holds a tun or tap device: the answer to "device or resource busy"."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import attrs

from .constants import TUNGETDEVNETNS

__all__ = ["Holder", "find_holders", "holders"]

PROC = Path("/proc")

SYS_PIDFD_GETFD = 438  # Linux include/uapi/asm-generic/unistd.h, since 5.6

IsHere = Callable[[int], bool]
"""Whether the descriptor of a network namespace stands for the one that is asked about; Origin.holds."""
DeviceNamespace = Callable[[int, int], int]
"""Opens the network namespace of the device behind a descriptor of a process: takes both numbers."""


@attrs.frozen
class Holder:
    """A process that has a device of this name open."""

    pid: int
    program: str
    fd: int
    """Its descriptor."""
    here: bool | None
    """Whether the device is in the network namespace that was asked about; None if nobody tells."""

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid})"


def holders(name: str, here: IsHere) -> list[str]:
    """
    Return the processes that have the device open, as ``"program (pid 42)"``.

    Args:
        here: Tells the network namespace the device is in from others, where a device may be called the same.
    """
    found = find_holders(name, here)
    sure = [one for one in found if one.here]
    perhaps = [one for one in found if one.here is None]
    return list(dict.fromkeys(map(str, sure or perhaps)))  # one process may have several queues


def device_namespace(pid: int, fd: int) -> int:
    """
    Open the network namespace of the device that a process has open as *fd*.

    Raises:
        OSError: If this process may not trace that one, or lacks CAP_NET_ADMIN where the device is.
    """
    process = os.pidfd_open(pid)
    try:
        copy = _syscall(SYS_PIDFD_GETFD, process, fd, 0)
    finally:
        os.close(process)
    try:
        return fcntl.ioctl(copy, TUNGETDEVNETNS)
    finally:
        os.close(copy)


def find_holders(
    name: str, here: IsHere, *, proc: Path = PROC, device_namespace: DeviceNamespace = device_namespace
) -> list[Holder]:
    """
    Return who has a device of this name open, in whatever namespace.

    Reads the ``iff:`` line the tun driver adds to fdinfo (tun_chr_show_fdinfo() in Linux drivers/net/tun.c).
    Sees what the caller may see: other users' processes only as root.
    """
    try:
        processes = [entry for entry in proc.iterdir() if entry.name.isdigit()]
    except OSError:  # no /proc in here
        return []
    return [
        Holder(int(process.name), _program(process), fd, _is_here(process, fd, here, device_namespace))
        for process in processes
        for fd in _descriptors(process, name)
    ]


def _descriptors(process: Path, name: str) -> list[int]:
    try:
        numbers = [info.name for info in (process / "fdinfo").iterdir()]
    except OSError:  # it ended, or is not ours to look into
        return []
    return [int(fd) for fd in sorted(numbers, key=int) if _is_open_on(process, fd, name)]


def _is_open_on(process: Path, fd: str, name: str) -> bool:
    try:
        is_tun = str((process / "fd" / fd).readlink()).endswith("/net/tun")
        return is_tun and f"iff:\t{name}\n" in (process / "fdinfo" / fd).read_text()
    except OSError:  # closed meanwhile, as the one that the directory was read with
        return False


def _is_here(process: Path, fd: int, here: IsHere, device_namespace: DeviceNamespace) -> bool | None:
    """
    Say whether the device is here.

    Only the device itself knows for sure: a process may hold one of a namespace it is not in. Where it may not be
    asked, a process that is here itself is taken to have its device here, and of others nothing is known.
    """
    try:
        return _is(here, device_namespace(int(process.name), fd))
    except OSError:
        pass
    try:
        return _is(here, os.open(process / "ns" / "net", os.O_RDONLY | os.O_CLOEXEC)) or None
    except OSError:
        return None


def _is(here: IsHere, netns: int) -> bool:
    try:
        return here(netns)
    finally:
        os.close(netns)


def _program(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a program"


def _syscall(number: int, *arguments: int) -> int:
    result: int = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
