"""The processes of a test, and asyncio's threads that watch them."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["children", "watchers_ended"]


def children() -> list[int]:
    """Return the child processes of this one, zombies among them."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == os.getpid()]


def _parent(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it ended meanwhile
        return None
    found = re.search(r"^PPid:\t(\d+)$", status, re.MULTILINE)
    return int(found[1]) if found else None


@pytest.fixture(autouse=True)
def watchers_ended() -> Iterator[None]:
    """Wait for the threads in which Python 3.11 watches subprocesses; they outlive the wait by a moment."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("asyncio-waitpid-"):
            thread.join()
