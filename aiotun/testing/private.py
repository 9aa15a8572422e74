"""
Rigs of endpoints of private networks.

Each opens a network of its own, so they need no privilege, and leave the machine's alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..endpoint import Opening
from ..host.private import PrivateHost
from .kernel import KernelRig
from .rig import Rig

__all__ = ["private_tap", "private_tun"]


@asynccontextmanager
async def _rig(host: PrivateHost, open: Callable[..., Opening[Any]], options: dict[str, Any]) -> AsyncIterator[Rig]:
    async with host, open("rig%d", **options) as endpoint:
        rig = KernelRig(endpoint, open, host.socket)
        try:
            yield rig
        finally:
            rig.close()


def private_tun(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a tun in a private network."""
    host = PrivateHost()
    return _rig(host, host.open_tun, options)


def private_tap(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a tap in a private network, without IPv6 chatter on it."""
    host = PrivateHost()
    return _rig(host, host.open_tap, {"ipv6_linklocal": False, **options})
