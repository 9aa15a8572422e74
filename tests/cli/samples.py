"""A job's progress as a test wants it."""

from __future__ import annotations

from aiotun.cli.ledger import Hop, Ledger
from aiotun.cli.progress import Measured, Progress


def hops(entered: int, dropped: dict[str, int], missing: int = 0, waiting: int = 0) -> tuple[Hop, ...]:
    """Return three hops, which lose packets in the middle."""
    left = entered - sum(dropped.values()) - missing - waiting
    return (
        Hop(what="stack to tun", entered=entered, left=entered),
        Hop(what="UDP to UDP", entered=entered, left=left, dropped=dropped, waiting=waiting),
        Hop(what="tunnel to stack", entered=left, left=left),
    )


def progress(
    *,
    sent: int = 1_000_000,
    dropped: dict[str, int] | None = None,
    missing: int = 0,
    waiting: int = 0,
    elapsed: float = 10.0,
    intact: bool | None = True,
) -> Progress:
    """Return a transfer of a million packets from east to west, and pings of 1 to 100 ms."""
    return Progress(
        elapsed=elapsed,
        measured=Measured(
            rtts=[n / 1e3 for n in range(1, 101)], pings=101, content=1_250_000_000, resent=7, intact=intact
        ),
        ledgers=(
            Ledger("east to west", hops(sent, dropped or {}, missing, waiting)),
            Ledger("west to east", hops(20_000, {})),
        ),
        carried=(1_420_000_000, 1_000_000),
    )
