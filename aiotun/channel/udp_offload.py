"""
Whether a UDP socket's datagrams go and come in trains, and why not.

UDP_SEGMENT sends a train in one call; UDP_GRO receives one. Each can be switched off: by an option, at any time, and
by whoever runs the program, with ``AIOTUN_UDP_GSO=0`` and ``AIOTUN_UDP_GRO=0`` in the environment. Some kernels and
drivers damage trains without an error, which no probe finds.
"""

from __future__ import annotations

import abc
import errno
import os
import socket
import sys

from ..endpoint import Capabilities
from .udp_datagrams import TRAIN, UDP_GRO, UDP_SEGMENT

__all__ = ["OffloadSwitches", "UdpOffload"]

NAMES = {"gso": "UDP_SEGMENT", "gro": "UDP_GRO"}


class UdpOffload:
    """What one socket has of UDP_SEGMENT and UDP_GRO."""

    def __init__(self, sock: socket.socket, *, gso: bool, gro: bool) -> None:
        self._socket = sock
        self._asked = frozenset(NAMES[name] for name, asked in (("gso", gso), ("gro", gro)) if asked)
        self.segment = 0
        """Datagrams of up to so many bytes go in trains; 0: none do."""
        self.gro = False
        """Whether datagrams may come in trains."""
        self.off: dict[str, str] = {}
        """What is off, and why, in words."""
        self.set_gso(gso, "the channel was opened with gso=False")
        self.set_gro(gro, "the channel was opened with gro=False")

    def capabilities(self) -> Capabilities:
        """Return what is on and what is not as an endpoint says it."""
        on = frozenset(NAMES.values()) - self.off.keys()
        return Capabilities(asked=self._asked, granted=on, features=on, off=dict(self.off))

    def set_gso(self, on: bool, reason: str) -> None:
        """Send in trains or not; *reason* is why not. It stays off where the kernel or the environment forbids it."""
        refusal = _forbidden("AIOTUN_UDP_GSO") or (_no_segment(self._socket) if on else reason)
        self._note("UDP_SEGMENT", refusal)
        self.segment = 0 if refusal else TRAIN

    def set_gro(self, on: bool, reason: str) -> None:
        """Receive trains or not, as set_gso()."""
        refusal = _forbidden("AIOTUN_UDP_GRO") or ("" if on else reason)
        told = _set_gro(self._socket, not refusal)
        self._note("UDP_GRO", refusal or told)
        self.gro = not (refusal or told)

    def refuse(self, size: int, code: int) -> None:
        """
        Take note that the kernel refused a train of datagrams of *size* bytes, which go one by one.

        EIO is a device that cannot make checksums, and EINVAL a kernel that cannot do it for this one; EMSGSIZE is
        about the path, where shorter ones pass.
        """
        if code in (errno.EIO, errno.EINVAL):
            self.set_gso(False, f"the kernel refused a train of datagrams of {size} bytes: {os.strerror(code)}")

    def _note(self, name: str, refusal: str) -> None:
        self.off.pop(name, None)
        if refusal:
            self.off[name] = refusal


class OffloadSwitches(abc.ABC):
    """The switches of whatever stands on a UDP socket."""

    __slots__ = ()

    @property
    def gso(self) -> bool:
        """Whether datagrams of one size to one peer go to the kernel in trains (UDP_SEGMENT); set it to switch that."""
        return self._offload.segment > 0

    @gso.setter
    def gso(self, on: bool) -> None:
        self._offload.set_gso(on, "it was switched off")

    @property
    def gro(self) -> bool:
        """Whether datagrams of one size from one peer come in trains (UDP_GRO); set it to switch that."""
        return self._offload.gro

    @gro.setter
    def gro(self, on: bool) -> None:
        self._offload.set_gro(on, "it was switched off")

    @property
    @abc.abstractmethod
    def _offload(self) -> UdpOffload:
        """The socket's; raises DeviceClosed where there is none any more."""


def _forbidden(variable: str) -> str:
    return f"{variable} is 0" if os.environ.get(variable) == "0" else ""


def _no_segment(sock: socket.socket) -> str:
    """Return why the kernel takes no trains, empty if it does: Linux 4.18 and later."""
    if sys.platform == "linux":
        try:
            sock.getsockopt(socket.IPPROTO_UDP, UDP_SEGMENT)
            return ""
        except OSError as error:
            return f"the kernel does not have it: {error.strerror}"
    return "only Linux has it"


def _set_gro(sock: socket.socket, on: bool) -> str:
    """Ask for trains, or no longer, and return why there are none: before Linux 5.12 one cannot be sure of it."""
    if sys.platform != "linux":
        return "only Linux has it"
    try:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, int(on))
        if sock.getsockopt(socket.IPPROTO_UDP, UDP_GRO) == on:
            return ""
        return "the kernel did not do as it was told"
    except OSError as error:
        return f"the kernel does not have it: {error.strerror}"
