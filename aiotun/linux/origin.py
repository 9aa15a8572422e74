"""Whose network a device is opened in: where its descriptors come from."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Protocol

from .constants import CLONE_DEVICE

__all__ = ["HERE", "MakeSocket", "Origin"]

MakeSocket = Callable[[int, int, int], socket.socket]
"""Makes a socket of a family, type and protocol, in some network namespace."""


class Origin(Protocol):
    """A network namespace that gives out descriptors; they belong to it wherever they are used."""

    def open_clone_device(self) -> int:
        """Open ``/dev/net/tun``, non-blocking; the descriptor is the caller's."""

    def make_socket(self, family: int, type: int, proto: int) -> socket.socket:
        """Make a socket, blocking; the caller's."""

    def open(self, path: str) -> int:
        """Open a file of /proc/sys, to read and write; the descriptor is the caller's."""

    def holds(self, netns: int) -> bool:
        """Return whether the descriptor of a network namespace stands for this one."""


class _Here:
    """The namespace that the calling thread is in."""

    def open_clone_device(self) -> int:
        return os.open(CLONE_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def make_socket(self, family: int, type: int, proto: int) -> socket.socket:
        return socket.socket(family, type, proto)

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def holds(self, netns: int) -> bool:
        return os.path.samestat(os.fstat(netns), os.stat("/proc/thread-self/ns/net"))


HERE: Origin = _Here()
