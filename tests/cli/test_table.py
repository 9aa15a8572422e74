"""The live table: rates, round trips, reasons, and that all of it fits a terminal."""

from __future__ import annotations

import asyncio
import io

import attrs
import pytest
from rich.console import Console

from aiotun.cli.progress import Job, Progress
from aiotun.cli.table import Display, Meter, Rate, live_table, reasons, round_trips, sparkline, status_line

from .samples import progress

RATES = (Rate(111_000, 1.26e9), Rate(1_758, 1e6))
REASONS = {"receive_buffer_full": 12_345, "auth_failed": 3, "replayed": 2, "too_short": 1}


def frame(shown: Progress, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(live_table("two in-process hosts", shown, RATES, 10.0))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_the_first_rate_is_none() -> None:
    """One look is no rate."""
    assert Meter().rates(progress()) == (Rate(0.0, 0.0), Rate(0.0, 0.0))


def test_rates_are_per_second() -> None:
    """Packets and bits since a second ago, in both directions."""
    meter = Meter()
    meter.rates(attrs.evolve(progress(sent=0, elapsed=0.0), carried=(0, 0)))
    first, second = meter.rates(attrs.evolve(progress(sent=500, elapsed=0.5), carried=(1000, 10)))
    assert (first, second) == (Rate(1000.0, 16000.0), Rate(0.0, 160.0))


def test_rates_forget_what_is_older_than_a_second() -> None:
    """A burst that is over is not averaged in for ever."""
    meter = Meter()
    for second, sent in enumerate((0, 1000, 1000, 1000)):
        rate = meter.rates(progress(sent=sent, elapsed=float(second)))[0]
    assert rate.packets == 0.0


@pytest.mark.parametrize(
    ("values", "bars"), [((), ""), ((0.0, 0.0), "▁▁"), ((1.0, 2.0, 4.0, 8.0), "▂▃▅█"), ((5.0,), "█")]
)
def test_sparkline(values: tuple[float, ...], bars: str) -> None:
    """The highest value fills the line, the others are in proportion."""
    assert sparkline(values) == bars


def test_round_trips() -> None:
    """Milliseconds: the lowest, the mean, the highest, and the last 24 as bars."""
    assert round_trips(progress().measured.rtts).startswith("min 1.00  avg 50.50  max 100.00 ms  ")


def test_no_round_trip_yet() -> None:
    """Before the first answer there is nothing to tell."""
    assert round_trips([]) == "no answer yet"


def test_reasons_are_most_frequent_first() -> None:
    """All drops of both directions, by reason."""
    shown = reasons(progress(dropped=REASONS))
    assert shown == "receive_buffer_full 12,345, auth_failed 3, replayed 2, too_short 1"


@pytest.mark.parametrize("dropped", [{}, REASONS])
def test_a_frame_fits_80_columns_and_24_lines(dropped: dict[str, int]) -> None:
    """The table is readable in a terminal of the smallest usual size."""
    lines = frame(progress(dropped=dropped)).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 23


def test_a_frame_tells_all() -> None:
    """Rates, drops, round trips and progress are in it, none cut off."""
    shown = frame(progress(dropped=REASONS, elapsed=5.0))
    for part in ("111,000", "1.260", "12,351", "min 1.00", "receive_buffer_full 12,345", "5.0 of 10 s"):
        assert part in shown


def test_a_status_line_is_one_line() -> None:
    """What a log gets each second."""
    assert status_line(progress(), RATES, 10.0) == (
        "10.0 of 10 s: east to west 111,000 packets/s 1.260 Gbit/s, west to east 1,758 packets/s 0.001 Gbit/s, "
        "RTT 100.00 ms, dropped: none"
    )


class StillJob:
    """A job at which nothing moves."""

    title = "nothing"

    def progress(self) -> Progress:
        return progress()


def still_job() -> Job:
    return StillJob()  # type: ignore[return-value]


@pytest.mark.parametrize("terminal", [True, False])
async def test_showing_ends_with_the_job(terminal: bool) -> None:
    """show() returns when told that the job has ended."""
    ended = asyncio.Event()
    console = Console(file=io.StringIO(), force_terminal=terminal)
    showing = asyncio.create_task(Display(console, still_job(), 10.0).show(ended))
    await asyncio.sleep(0)
    ended.set()
    async with asyncio.timeout(10):
        await showing
