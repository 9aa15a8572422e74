"""One endpoint or several queues: what ``open_tun()`` of a host on the kernel gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ..endpoint import Endpoint, Opening, Port, Queues, WhenDown

__all__ = ["endpoints_over", "one_or_several"]

E = TypeVar("E", bound=Endpoint)


def endpoints_over(endpoint: Callable[..., E], ports: Sequence[Port], when_down: WhenDown) -> list[E]:
    """Return an endpoint for each port; close the ports if there can be none."""
    try:
        return [endpoint(port, when_down=when_down) for port in ports]
    except BaseException:
        for port in ports:
            port.close_now()
        raise


def one_or_several(open: Callable[[], Awaitable[Sequence[E]]], queues: int | None) -> Opening[E] | Opening[Queues[E]]:
    """Return what gives the one endpoint that *open* opens, or where *queues* were asked for, those."""

    async def one() -> E:
        (endpoint,) = await open()
        return endpoint

    async def several() -> Queues[E]:
        return Queues(await open())

    return Opening(one) if queues is None else Opening(several)
