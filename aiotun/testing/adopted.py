"""Rigs of adopted endpoints: opened, passed over a unix socket, and adopted at its other end."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

from ..endpoint import Endpoint, Opening
from ..host import open_tap, open_tun
from .kernel import KernelRig
from .rig import Rig

__all__ = ["adopted_tap", "adopted_tun"]


@asynccontextmanager
async def _rig(
    kind: Literal["tun", "tap"], open: Callable[..., Opening[Any]], options: dict[str, Any]
) -> AsyncIterator[Rig]:
    from ..linux.passing import receive_tap, receive_tun, send_endpoint

    receive: Callable[..., Awaitable[Endpoint]] = receive_tun if kind == "tun" else receive_tap
    adopting = {"when_down": options.pop("when_down")} if "when_down" in options else {}

    async def adopted(name: str) -> Endpoint:
        near, far = socket.socketpair()
        with near, far:
            await send_endpoint(near, await open(name, **options))
            return await receive(far, **adopting)

    async with await adopted("rig%d") as endpoint:
        rig = KernelRig(endpoint, lambda name: Opening(lambda: adopted(name)))
        try:
            yield rig
        finally:
            rig.close()


def adopted_tun(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of an adopted tun."""
    return _rig("tun", open_tun, options)


def adopted_tap(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of an adopted tap, without IPv6 chatter on it."""
    return _rig("tap", open_tap, {"ipv6_linklocal": False, **options})
