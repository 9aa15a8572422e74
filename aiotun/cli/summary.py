"""The end of a demo: what went through, where every packet is, and what is wrong."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .ledger import Ledger
from .progress import Progress

__all__ = ["percentile", "print_summary", "problems", "summary_json"]


def problems(progress: Progress) -> list[str]:
    """Return what is wrong, as sentences; the demo failed if there are any."""
    found = [
        f"{ledger.name}, {hop.what}: {_packets(hop.unaccounted)}"
        for ledger in progress.ledgers
        for hop in ledger.hops
        if hop.unaccounted
    ]
    found += [
        f"{ledger.name}: {ledger.waiting} packets were still queued at the end"
        for ledger in progress.ledgers
        if ledger.waiting
    ]
    if progress.measured.intact is False:
        found.append("the bulk transfer did not arrive as it was sent")
    return found


def print_summary(console: Console, title: str, progress: Progress) -> None:
    """Print totals, round trips and the account of every packet."""
    console.print(f"[bold]aiotun demo[/]: {title}, {progress.elapsed:.1f} s", highlight=False)
    console.print(_totals(progress))
    console.print(_account(progress.ledgers))
    for problem in problems(progress):
        console.print(Text(problem, style="bold red"))
    if not progress.unaccounted:
        console.print("Every packet is accounted for.", highlight=False)


def summary_json(progress: Progress) -> str:
    """Return the summary as JSON: bytes, seconds, packets, and rates in their units by name."""
    measured = progress.measured
    return json.dumps(
        {
            "elapsed_seconds": progress.elapsed,
            "goodput_bits_per_second": _rate(8 * measured.content, progress),
            "transfer_bytes": measured.content,
            "transfer_intact": measured.intact,
            "packets_sent_again": measured.resent,
            "pings_sent": measured.pings,
            "pings_answered": len(measured.rtts),
            "rtt_seconds": {f"p{percent}": percentile(measured.rtts, percent) for percent in (50, 99)},
            "unaccounted": progress.unaccounted,
            "problems": problems(progress),
            "directions": [
                {
                    "name": ledger.name,
                    "sent": ledger.sent,
                    "received": ledger.received,
                    "received_bytes": carried,
                    "packets_per_second": _rate(ledger.received, progress),
                    "bits_per_second": _rate(8 * carried, progress),
                    "dropped": dict(ledger.dropped),
                    "waiting": ledger.waiting,
                    "unaccounted": ledger.unaccounted,
                    "hops": [
                        {
                            "hop": hop.what,
                            "entered": hop.entered,
                            "left": hop.left,
                            "waiting": hop.waiting,
                            "dropped": {reason: count for reason, count in hop.dropped.items() if count},
                            "unaccounted": hop.unaccounted,
                        }
                        for hop in ledger.hops
                    ],
                }
                for ledger, carried in zip(progress.ledgers, progress.carried, strict=True)
            ],
        },
        indent=2,
    )


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return the value that *percent* percent of *values* do not exceed, or None if there are none."""
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _totals(progress: Progress) -> Table:
    measured = progress.measured
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    for ledger, carried in zip(progress.ledgers, progress.carried, strict=True):
        rates = f"{_rate(ledger.received, progress):,.0f} packets/s, {_rate(8 * carried, progress) / 1e9:.3f} Gbit/s"
        grid.add_row(ledger.name, f"{ledger.received:,} packets, {carried / 1e6:,.1f} MB: {rates}")
    again = f", {measured.resent:,} packets sent again" if measured.resent else ""
    goodput = f"goodput {_rate(8 * measured.content, progress) / 1e9:.3f} Gbit/s"
    intact = {True: ", intact", False: ", DAMAGED", None: ""}[measured.intact]
    grid.add_row("transfer", f"{measured.content / 1e6:,.1f} MB, {goodput}{intact}{again}")
    grid.add_row("ping", f"{len(measured.rtts)} of {measured.pings} answered{_percentiles(measured.rtts)}")
    return grid


def _percentiles(rtts: Sequence[float]) -> str:
    low, high = percentile(rtts, 50), percentile(rtts, 99)
    return f", RTT p50 {low * 1e3:.2f} ms, p99 {high * 1e3:.2f} ms" if low is not None and high is not None else ""


def _account(ledgers: Sequence[Ledger]) -> Table:
    table = Table()
    table.add_column("hop", no_wrap=True)
    for column in ("in", "out", "dropped", "missing"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("reasons")
    for ledger in ledgers:
        table.add_section()
        dropped = ledger.dropped
        total = f"{ledger.received:,}", f"{dropped.total():,}", _missing(ledger.unaccounted)
        table.add_row(Text(ledger.name, style="bold"), f"{ledger.sent:,}", *total, _reasons(dropped))
        for hop in ledger.hops:
            row = f"{hop.entered:,}", f"{hop.left:,}", f"{sum(hop.dropped.values()):,}", _missing(hop.unaccounted)
            table.add_row(f"  {hop.what}", *row, _reasons(hop.dropped))
    return table


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in dropped.items() if count)


def _missing(count: int) -> Text:
    return Text(f"{count:,}", style="bold red" if count else "dim")


def _packets(count: int) -> str:
    return f"{count:,} packets lost without a reason" if count > 0 else f"{-count:,} packets from nowhere"


def _rate(amount: int, progress: Progress) -> float:
    return amount / progress.elapsed if progress.elapsed > 0 else 0.0
