"""What a demo job tells while it runs and at its end."""

from __future__ import annotations

import abc
import asyncio
from types import TracebackType
from typing import Self

import attrs

from .joined import Joined
from .ledger import Ledger

__all__ = ["Job", "Measured", "Progress"]


@attrs.define
class Measured:
    """What a job's own traffic met, as it runs."""

    rtts: list[float] = attrs.field(factory=list)
    """Round trip times of the pings, in seconds, in order."""
    pings: int = 0
    """Echo requests sent."""
    content: int = 0
    """Bytes of the bulk transfer that arrived, each once and in order."""
    resent: int | None = None
    """Packets that the bulk transfer sent again; None if the kernel's TCP knows."""
    intact: bool | None = None
    """Whether what arrived is what was sent; None until the transfer has ended."""


@attrs.frozen(kw_only=True)
class Progress:
    """A job at one moment. Measured is live: its lists grow."""

    elapsed: float
    """Seconds since the job began, up to the end of its transfer."""
    measured: Measured
    ledgers: tuple[Ledger, Ledger]
    """Where the packets of both directions are."""
    carried: tuple[int, int]
    """Bytes of IP packets that arrived, in both directions."""

    @property
    def unaccounted(self) -> int:
        """Packets that were lost without a reason."""
        return sum(ledger.unaccounted for ledger in self.ledgers)


class Job(abc.ABC):
    """
    Two hosts, the tunnel between them, and traffic through it. Enter it with ``async with``, once.

    run() and carry() run side by side; carry() is cancelled after run() returned and all has settled.
    """

    title: str
    """What the job is, for people."""
    joined: Joined

    def __init__(self) -> None:
        self.measured = Measured()
        self._began: float | None = None
        self._ended: float | None = None

    @abc.abstractmethod
    async def __aenter__(self) -> Self:
        """Make the hosts."""

    @abc.abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove them, whatever happened."""

    @abc.abstractmethod
    async def carry(self) -> None:
        """Carry packets until cancelled."""

    @abc.abstractmethod
    async def traffic(self, stop: asyncio.Event) -> None:
        """Ping and transfer until *stop*; then wait until what was sent has arrived."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run the traffic, and wait until no packet is on its way any more."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        await self.traffic(stop)
        self._ended = loop.time()
        await self.joined.settle()

    def progress(self) -> Progress:
        """Return where things stand."""
        ledgers = self.joined.ledgers()
        now = self._ended or asyncio.get_running_loop().time()
        first, second = (site.tun.statistics().sent_bytes for site in self.joined.sites)
        return Progress(
            elapsed=now - self._began if self._began is not None else 0.0,
            measured=self.measured,
            ledgers=ledgers,
            carried=(second, first),
        )
