"""
Giving up every privilege but a few, for good: capabilities(7), prctl(2).

They are a thread's. So this is called before there are more of them; those that start later inherit what is left.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from collections.abc import Collection
from pathlib import Path

__all__ = ["CAPABILITIES", "keep_only"]

# Linux include/uapi/linux/capability.h
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
VERSION_3 = 0x20080522
HEADER = struct.Struct("=Ii")
"""struct __user_cap_header_struct: version, thread (0 is the caller)."""
SETS = struct.Struct("=6I")
"""Twice struct __user_cap_data_struct: effective, permitted and inheritable, the lower half and the upper one."""

# Linux include/uapi/linux/prctl.h
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

LAST = Path("/proc/sys/kernel/cap_last_cap")


def keep_only(names: Collection[str]) -> None:
    """
    Give up every capability but those called *names*, here and in every program and thread started from now on.

    What is given up cannot be had again, not by a program with a set-user-ID bit either (PR_SET_NO_NEW_PRIVS).

    Raises:
        PermissionError: If the process lacks one of those it shall keep; nothing was given up.
        RuntimeError: If there are more threads already.
    """
    if threading.active_count() > 1:
        raise RuntimeError("privileges are given up before threads are started: they would keep theirs")
    wanted = sum(1 << CAPABILITIES[name] for name in names)
    libc = ctypes.CDLL(None, use_errno=True)
    permitted, inheritable = _sets(libc)
    missing = [name for name in names if not permitted >> CAPABILITIES[name] & 1]
    if missing:
        raise PermissionError(
            errno.EPERM, f"it takes {' and '.join(missing)}: run it as root, or with AmbientCapabilities= in its unit"
        )
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")
    for number in range(int(LAST.read_text()) + 1):
        if not wanted >> number & 1:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)  # takes CAP_SETPCAP; without it no_new_privs is enough
    sets = [half for shift in (0, 32) for half in (wanted >> shift, wanted >> shift, (inheritable & wanted) >> shift)]
    packed = SETS.pack(*(half & 0xFFFFFFFF for half in sets))
    _check(libc.capset(HEADER.pack(VERSION_3, 0), packed), "give up capabilities")


def _sets(libc: ctypes.CDLL) -> tuple[int, int]:
    """Return what is permitted, and what a program inherits."""
    sets = ctypes.create_string_buffer(SETS.size)
    _check(libc.capget(ctypes.create_string_buffer(HEADER.pack(VERSION_3, 0), HEADER.size), sets), "ask capabilities")
    _, permitted, inheritable, _, upper_permitted, upper_inheritable = SETS.unpack(sets.raw)
    return permitted | upper_permitted << 32, inheritable | upper_inheritable << 32


def _check(result: int, doing: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot {doing}: {os.strerror(code)}")
