"""Rigs of endpoints that attach to a persistent device of this user's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..endpoint import Opening
from ..host import open_tap, open_tun
from .kernel import KernelRig
from .rig import Rig

__all__ = ["persistent_tap", "persistent_tun"]

QUIET = {"ipv6_linklocal": False, "queue_length": 1000}
"""What a new tun would be: to one that was there before nothing is done unasked."""


@asynccontextmanager
async def _rig(open: Callable[..., Opening[Any]], options: dict[str, Any]) -> AsyncIterator[Rig]:
    async with open("keep%d", persistent=True, up=False) as made:
        name = made.name
    try:
        async with open(name, **QUIET | options) as endpoint:
            rig = KernelRig(endpoint, lambda name: open(name, **QUIET))
            try:
                yield rig
            finally:
                rig.close()
    finally:
        async with open(name, up=False) as last:  # another one, if it was deleted meanwhile
            last.device.persistent = False


def persistent_tun(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a persistent tun, without IPv6 chatter on it."""
    return _rig(open_tun, options)


def persistent_tap(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a persistent tap, without IPv6 chatter on it."""
    return _rig(open_tap, options)
