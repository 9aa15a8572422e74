"""What ``open_tun()`` returns: to be awaited, or entered with ``async with``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Opening"]


class Closable(Protocol):
    """What can be opened: an endpoint, or several."""

    async def aclose(self) -> None: ...


E = TypeVar("E", bound=Closable)


class Opening(Generic[E]):
    """
    An endpoint about to be opened.

    ``tun = await open_tun(...)`` gives it to you, to close with ``await tun.aclose()``;
    ``async with open_tun(...) as tun:`` closes it for you. Nothing happens before either.
    """

    def __init__(self, open: Callable[[], Awaitable[E]]) -> None:
        self._open = open
        self._endpoint: E | None = None
        self._used = False

    def __await__(self) -> Generator[Any, Any, E]:
        return self._once().__await__()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"nothing is open yet, so there is no {name!r}: write `tun = await open_tun(...)` "
            f"or `async with open_tun(...) as tun:`"
        )

    async def __aenter__(self) -> E:
        self._endpoint = await self
        return self._endpoint

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._endpoint is not None  # __aenter__ set it
        await self._endpoint.aclose()

    async def _once(self) -> E:
        if self._used:
            raise RuntimeError("this opening was used already; call open_tun() or open_tap() again")
        endpoint = await self._open()
        self._used = True
        return endpoint
