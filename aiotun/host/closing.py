"""Closing a host by leaving its block: the same for every host."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Self

__all__ = ["ClosedByBlock"]


class ClosedByBlock(abc.ABC):
    """What ``async with`` closes at its end."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Free everything."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
