"""
A network of the tests' own: the test process leaves this machine's before the first test runs.

As root a new network and mount namespace; as an ordinary user a user namespace around them. Named
namespaces (``ip netns add``) made in there are private too, and everything dies with the process.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

MS_REC = 0x4000
MS_PRIVATE = 0x40000


def isolate() -> str | None:
    """Enter a private network; return why the kernel tests cannot run, or None if they can."""
    if sys.platform != "linux":
        return f"kernel tests need Linux, this is {sys.platform}"
    try:
        if os.geteuid() == 0:
            _unshare(CLONE_NEWNET | CLONE_NEWNS)
        else:
            _become_root_of_a_user_namespace()
        _mount_private_run()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no private network namespace: {error}"
    return _tun_refusal()


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")


def _become_root_of_a_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    os.environ["LOGNAME"] = f"uid-{uid}"  # in there we are called root, whose temporary directory is not ours
    _unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _mount_private_run() -> None:
    """Give this process a /run/netns nobody else sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    run = b"/run/netns" if os.path.isdir("/run/netns") else b"/run"
    for source, target, kind, flags in ((b"none", b"/", None, MS_REC | MS_PRIVATE), (b"tmpfs", run, b"tmpfs", 0)):
        if libc.mount(source, target, kind, ctypes.c_ulong(flags), None):
            code = ctypes.get_errno()
            raise OSError(code, f"mount {target.decode()}: {os.strerror(code)}")
    os.makedirs("/run/netns", exist_ok=True)


def _tun_refusal() -> str | None:
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"cannot open /dev/net/tun: {error.strerror}"
    return None
