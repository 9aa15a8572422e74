"""Why a user may not have a private network, and what to do about it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import device_error

__all__ = ["SETTINGS", "namespace_remedy", "no_namespace"]

# What an administrator can forbid namespaces with: the setting, the value that forbids, and what allows. The first
# is Debian's, the last of Ubuntu and of Linux 6.7 and later with AppArmor; see also namespaces(7).
SETTINGS = (
    ("kernel/unprivileged_userns_clone", "0", "`sysctl kernel.unprivileged_userns_clone=1`"),
    ("user/max_user_namespaces", "0", "`sysctl user.max_user_namespaces=10000`"),
    ("user/max_net_namespaces", "0", "`sysctl user.max_net_namespaces=10000`"),
    ("user/max_pid_namespaces", "0", "`sysctl user.max_pid_namespaces=10000`"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or an AppArmor profile that allows userns",
    ),
)

CONTAINER = "in a container, allow it with `--security-opt seccomp=unconfined`"
KERNEL = "the kernel is built without CONFIG_USER_NS, CONFIG_NET_NS or CONFIG_PID_NS"

REMEDIES = {
    errno.EPERM: CONTAINER,
    errno.EACCES: CONTAINER,
    errno.ENOSPC: "there are too many already; `sysctl -a | grep max_.*_namespaces` says how many may be",
    errno.EUSERS: "namespaces are nested too deep",
    errno.EINVAL: KERNEL,
    errno.ENOSYS: KERNEL,
}


def no_namespace(code: int, doing: str, *, settings: Path = Path("/proc/sys")) -> OSError:
    """
    Return the error to raise when the kernel refused a step of making a private network.

    Names every setting of this machine that forbids it, or else what the errno speaks of.
    """
    parts = (f"private host: cannot {doing}", os.strerror(code), namespace_remedy(code, settings=settings))
    message = ": ".join(filter(None, parts))
    if code in (errno.EPERM, errno.EACCES):
        return PermissionError(code, message)
    return device_error(OSError(code, message), message)


def namespace_remedy(code: int, *, settings: Path = Path("/proc/sys")) -> str:
    """Return what to do about it: about each setting that forbids, or else about the errno; empty if nobody knows."""
    forbidding = [allows for name, forbids, allows in SETTINGS if _value(settings / name) == forbids]
    return "; ".join(forbidding) or REMEDIES.get(code, "")


def _value(setting: Path) -> str | None:
    try:
        return setting.read_text().strip()
    except OSError:
        return None
