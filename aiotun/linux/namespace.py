"""Network namespaces: naming one, and entering it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .constants import CLONE_NEWNET
from .worker import run_in_thread

__all__ = ["enter", "in_namespace", "open_namespace"]

NAMED = Path("/run/netns")
"""Where ``ip netns add`` keeps the namespaces it names."""

T = TypeVar("T")


def open_namespace(netns: str) -> int:
    """
    Return a descriptor of the network namespace called *netns*, or at that path if it has a slash; the caller's.

    Raises:
        ValueError: If there is none.
    """
    if not netns:
        raise ValueError("a network namespace has a name, or a path")
    path = Path(netns) if "/" in netns else NAMED / netns
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ValueError(f"no network namespace {netns!r}: make one with `ip netns add {path.name}`") from None


def enter(fd: int) -> None:
    """
    Move the calling thread, for good, into the network namespace *fd* stands for.

    Raises:
        PermissionError: If the process lacks CAP_SYS_ADMIN, here or there.
    """
    if _setns(fd, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"cannot enter the network namespace: {os.strerror(code)}; it takes CAP_SYS_ADMIN")


def in_namespace(fd: int, function: Callable[[], T]) -> T:
    """Run *function* inside a network namespace and return its result; blocks as long as that takes."""

    def run() -> T:
        enter(fd)
        return function()

    return run_in_thread(run)


def _setns(fd: int, kind: int) -> int:
    # os.setns() is in Python 3.12 and later; the C library's call is the same one.
    result: int = ctypes.CDLL(None, use_errno=True).setns(fd, kind)
    return result
