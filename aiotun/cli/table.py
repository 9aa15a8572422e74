"""The live table: what a job does at this moment, in 80 columns."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

import attrs
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .ledger import add
from .progress import Job, Progress

__all__ = ["Display", "Meter", "Rate", "live_table", "reasons", "round_trips", "sparkline", "status_line"]

REFRESH = 0.25
"""Seconds between two frames."""
AVERAGED = 1.0
"""Seconds that rates are averaged over."""
BARS = "▁▂▃▄▅▆▇█"
RECENT = 24
"""Round trips in the sparkline."""


@attrs.frozen
class Rate:
    """How fast one direction is."""

    packets: float
    """Packets per second."""
    bits: float
    """Bits of IP packets per second."""


class Meter:
    """Turns counters into rates over the last second."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, tuple[int, ...]]] = deque()

    def rates(self, progress: Progress) -> tuple[Rate, Rate]:
        """Note where things stand and return the rate of both directions."""
        counts = tuple(ledger.received for ledger in progress.ledgers) + progress.carried
        self._seen.append((progress.elapsed, counts))
        while len(self._seen) > 2 and self._seen[1][0] <= progress.elapsed - AVERAGED:
            self._seen.popleft()
        before, old = self._seen[0]
        seconds = progress.elapsed - before
        packets = [(new - was) / seconds if seconds > 0 else 0.0 for new, was in zip(counts, old, strict=True)]
        return Rate(packets[0], 8 * packets[2]), Rate(packets[1], 8 * packets[3])


class Display:
    """
    Shows a job while it runs: a table on a terminal, a line per second elsewhere.

    Args:
        live: False shows nothing.
    """

    def __init__(self, console: Console, job: Job, seconds: float, *, live: bool = True) -> None:
        self._console = console
        self._job = job
        self._seconds = seconds
        self._live = live
        self._meter = Meter()

    async def show(self, ended: asyncio.Event) -> None:
        """Show the job until *ended* is set."""
        if not self._live:
            return
        self._meter.rates(self._job.progress())
        if not self._console.is_terminal:
            while not await _is_set(ended, 1.0):
                progress = self._job.progress()
                print(status_line(progress, self._meter.rates(progress), self._seconds), flush=True)
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(self._frame(), refresh=True)
                if await _is_set(ended, REFRESH):
                    return

    def _frame(self) -> RenderableType:
        progress = self._job.progress()
        return live_table(self._job.title, progress, self._meter.rates(progress), self._seconds)


def live_table(title: str, progress: Progress, rates: Sequence[Rate], seconds: float) -> RenderableType:
    """Return one frame."""
    table = Table(title=f"aiotun demo: {title}, ChaCha20-Poly1305 over UDP", title_justify="left")
    table.add_column("direction", no_wrap=True)
    for column in ("packets/s", "Gbit/s", "packets", "dropped", "on the way"):
        table.add_column(column, justify="right", no_wrap=True)
    for ledger, rate in zip(progress.ledgers, rates, strict=True):
        dropped = ledger.dropped.total()
        table.add_row(
            ledger.name,
            f"{rate.packets:,.0f}",
            f"{rate.bits / 1e9:.3f}",
            f"{ledger.received:,}",
            Text(f"{dropped:,}", style="yellow" if dropped else "dim"),
            f"{max(ledger.sent - ledger.received - dropped, 0):,}",
        )
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="bold")
    lines.add_column()
    lines.add_row("RTT", round_trips(progress.measured.rtts))
    lines.add_row("drops", reasons(progress))
    lines.add_row("transfer", _transfer(progress))
    lines.add_row("elapsed", _bar(progress.elapsed, seconds))
    return Group(table, lines)


def status_line(progress: Progress, rates: Sequence[Rate], seconds: float) -> str:
    """Return the same in one line, for a log."""
    ways = ", ".join(
        f"{ledger.name} {rate.packets:,.0f} packets/s {rate.bits / 1e9:.3f} Gbit/s"
        for ledger, rate in zip(progress.ledgers, rates, strict=True)
    )
    rtts = progress.measured.rtts
    rtt = f"RTT {rtts[-1] * 1e3:.2f} ms" if rtts else "no RTT yet"
    return f"{progress.elapsed:4.1f} of {seconds:g} s: {ways}, {rtt}, dropped: {reasons(progress)}"


def round_trips(rtts: Sequence[float]) -> str:
    """Return min, average and max of all round trips, and a sparkline of the last ones."""
    if not rtts:
        return "no answer yet"
    low, mean, high = (1e3 * value for value in (min(rtts), sum(rtts) / len(rtts), max(rtts)))
    return f"min {low:.2f}  avg {mean:.2f}  max {high:.2f} ms  {sparkline(rtts[-RECENT:])}"


def sparkline(values: Sequence[float]) -> str:
    """Return a bar for each value; the highest is as high as the line."""
    top = max(values, default=0.0)
    if top <= 0:
        return BARS[0] * len(values)
    return "".join(BARS[min(int(value / top * len(BARS)), len(BARS) - 1)] for value in values)


def reasons(progress: Progress) -> str:
    """Return all drops of both directions by reason, the most frequent first."""
    dropped = add(ledger.dropped for ledger in progress.ledgers)
    return ", ".join(f"{reason} {count:,}" for reason, count in dropped.most_common()) or "none"


def _transfer(progress: Progress) -> str:
    measured = progress.measured
    resent = f", {measured.resent:,} packets sent again" if measured.resent else ""
    return f"{measured.content / 1e6:,.1f} MB arrived{resent}"


def _bar(elapsed: float, seconds: float, width: int = 30) -> str:
    done = round(min(elapsed / seconds, 1.0) * width)
    return f"{'━' * done}{'·' * (width - done)} {elapsed:.1f} of {seconds:g} s"


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    """Wait so long for *event* and return whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
