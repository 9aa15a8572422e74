"""An answer as the JSON has it: two rounds of three variants, of which one could not run."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

__all__ = ["results"]

CONDITIONS = {"date": "2026-11-21 10:00 +0000", "load": "0.10", "kernel": "Linux 6.18", "cpu": "a processor"}

CASE: dict[str, Any] = {
    "title": "one datagram a message",
    "columns": [
        {"key": "packets_per_second", "title": "k packets/s", "digits": 0, "factor": 0.001, "ratio": True},
        {"key": "load", "title": "CPU in use", "digits": 2, "factor": 1.0, "ratio": False},
    ],
    "reference": "C",
    "goals": [
        {"variant": "async for", "key": "packets_per_second", "limit": 1.0, "against": "C", "at_most": False},
        {"variant": "async for", "key": "load", "limit": 0.5, "against": None, "at_most": True},
        {"variant": "scapy", "key": "packets_per_second", "limit": 1.0, "against": "C", "at_most": False},
    ],
    "x": None,
    "by_hand": [],
    "rounds": {
        "C": [{"packets_per_second": 400_000, "load": 0.9}, {"packets_per_second": 500_000, "load": 0.8}],
        "async for": [{"packets_per_second": 600_000, "load": 0.7}, {"packets_per_second": 500_000, "load": 0.9}],
    },
    "missing": {"scapy": "scapy is not installed"},
}


def results(**changes: Any) -> dict[str, Any]:
    """Return results of the question ``iterate``, with *changes* to its one case."""
    answer = {
        "asks": "How near is iteration to C?",
        "says": "Readers fetch datagrams.",
        "x": None,
        "command": "python benchmarks/run.py --only iterate",
        "conditions": dict(CONDITIONS),
        "cases": [deepcopy(CASE) | changes],
        "seconds": 65,
    }
    return {"answers": {"iterate": answer}, "by_hand": []}
