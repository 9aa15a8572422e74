"""What a process holds: descriptors, tasks, threads, and what its event loop watches."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections import Counter
from pathlib import Path

import attrs

__all__ = ["Ledger", "watched_fds"]

PROC = Path("/proc/self")


@attrs.frozen(kw_only=True)
class Ledger:
    """A count of what could leak; two of them are equal when nothing did."""

    fds: int
    """Open file descriptors; 0 where there is no /proc to ask."""
    watched: int
    """Descriptors that event loops of this process watch; 0 where there is no /proc to ask."""
    tasks: int
    """Tasks of the running loop."""
    threads: int
    """Threads of this process."""

    @classmethod
    def take(cls) -> Ledger:
        """Count, in a running event loop."""
        return cls(
            fds=len(os.listdir(PROC / "fd")) if PROC.exists() else 0,
            watched=sum(watched_fds().values()),
            tasks=len(asyncio.all_tasks()),
            threads=threading.active_count(),
        )


def watched_fds() -> Counter[int]:
    """
    Return the descriptors that this process's epoll instances watch, and how often.

    Read from the ``tfd:`` lines of fdinfo, so it is true of any event loop.
    """
    watched: Counter[int] = Counter()
    if not PROC.exists():
        return watched
    for fd in os.listdir(PROC / "fd"):
        try:
            if os.readlink(PROC / "fd" / fd) == "anon_inode:[eventpoll]":
                text = (PROC / "fdinfo" / fd).read_text()
                watched.update(int(number) for number in re.findall(r"^tfd:\s*(\d+)", text, re.MULTILINE))
        except OSError:  # closed meanwhile
            continue
    return watched
