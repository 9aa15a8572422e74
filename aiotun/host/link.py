"""What the stack needs of an interface, as types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Interface, IPv6Interface
from typing import Protocol

from ..endpoint import Event
from ..errors import DeviceError

__all__ = ["EthernetLink", "Link"]


class Link(Protocol):
    """An interface of this host."""

    @property
    def name(self) -> str: ...
    @property
    def mtu(self) -> int:
        """Bytes of the largest layer-3 packet."""

    @property
    def header(self) -> int:
        """Bytes of link header in front of a packet: 0 on a tun, 14 on a tap."""

    @property
    def addresses(self) -> Sequence[IPv4Interface | IPv6Interface]: ...
    @property
    def up(self) -> bool: ...
    @property
    def output(self) -> Callable[[list[bytes]], Sequence[bytes]]:
        """Takes packets, or whole frames, towards the application; returns those queued, counts the others."""

    refusal: DeviceError | None
    """Why output() refused the packet it refused last."""

    def drop(self, reason: str, count: int) -> None: ...
    def listen(self, tell: Callable[[Event], None]) -> None: ...
    def unlisten(self, tell: Callable[[Event], None]) -> None: ...


class EthernetLink(Link, Protocol):
    """A tap."""

    @property
    def mac(self) -> bytes: ...
