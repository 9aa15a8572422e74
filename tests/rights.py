"""Tests that take a right which an ordinary user does not have in a user namespace either."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["machine_root_needed", "programs_are_for_all", "programs_needed"]


def _machine_root() -> bool:
    """Return whether this is root of the machine, who has every user's number to give."""
    mapped = Path("/proc/self/uid_map")
    return os.geteuid() == 0 and mapped.exists() and mapped.read_text().split() == ["0", "0", "4294967295"]


def programs_are_for_all() -> bool:
    """Return whether every user of this machine may load BPF programs."""
    setting = Path("/proc/sys/kernel/unprivileged_bpf_disabled")
    return setting.exists() and setting.read_text().strip() == "0"


machine_root_needed = pytest.mark.skipif(not _machine_root(), reason="it takes root of the machine")
programs_needed = pytest.mark.skipif(
    not (_machine_root() or programs_are_for_all()), reason="it takes the right to load BPF programs"
)
