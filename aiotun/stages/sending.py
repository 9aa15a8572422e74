"""Handing packets to somebody who does not wait: how many were taken, whatever was raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import AiotunError
from ..pipeline import Batch

__all__ = ["Output", "sent"]

Output = Callable[[Batch], Any]
"""Takes a batch at once, such as ``tun.send_many_nowait``; returns how many of it, or anything else for all."""


def sent(output: Output, batch: list[bytes]) -> int:
    """Give *batch* to *output* and return how many packets it took; a refusal is an answer, not an error."""
    try:
        taken = output(batch)
    except (AiotunError, BlockingIOError) as error:
        return int(getattr(error, "sent", 0))
    return taken if type(taken) is int else len(batch)
