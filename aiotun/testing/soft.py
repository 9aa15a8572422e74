"""Rigs of in-process endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..endpoint import Endpoint, Opening
from ..host import SoftHost
from .rig import Rig

__all__ = ["SoftRig", "soft_tap", "soft_tun"]

Open = Callable[..., Opening[Any]]


class SoftRig(Rig):
    """An endpoint of a SoftHost; the network side is the interface itself."""

    def __init__(self, host: SoftHost, endpoint: Endpoint, open: Open) -> None:
        self.endpoint = endpoint
        self._host = host
        self._open = open
        self._name = endpoint.name
        self._interface = host.interface(endpoint.name)
        self._network = host.network_side(endpoint.name)

    def output(self, batch: list[bytes]) -> None:
        self._interface.output(batch)

    async def input(self, count: int) -> list[bytes]:
        packets: list[bytes] = []
        while len(packets) < count:
            packets += await self._network.recv_many(count - len(packets))
        return packets

    def set_up(self, up: bool) -> None:
        self._interface.set_up(up)

    def set_mtu(self, mtu: int) -> None:
        self._interface.set_mtu(mtu)

    def delete(self) -> None:
        self._host.destroy(self._name)

    async def reopen(self) -> Endpoint:
        reopened: Endpoint = await self._open(self._name)
        return reopened


@asynccontextmanager
async def _rig(host: SoftHost, open: Open, options: dict[str, Any]) -> AsyncIterator[Rig]:
    async with host:
        yield SoftRig(host, await open("rig%d", **options), open)


def soft_tun(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of an in-process tun."""
    host = SoftHost()
    return _rig(host, host.open_tun, options)


def soft_tap(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of an in-process tap."""
    host = SoftHost()
    return _rig(host, host.open_tap, options)
