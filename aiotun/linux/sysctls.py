"""Settings of the network in /proc/sys: compared, written, and written back."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .guardian import MESSAGE
from .transaction import Transaction

__all__ = ["set_sysctl", "set_sysctls"]

PROC_SYS = "/proc/sys"


def set_sysctls(transaction: Transaction, wanted: Mapping[str, str], *, lasting: bool) -> None:
    """
    Write the settings that differ; ``{name}`` in a name is the device's.

    Through a descriptor that is of the namespace it was opened in, whoever writes to it later.

    Args:
        lasting: Whether the device outlives us, and its own settings with it.
    """
    for template, value in wanted.items():
        parts = [part.replace("{name}", transaction.name) for part in template.split(".")]
        bound = not lasting and parts[2:4] in (["conf", transaction.name], ["neigh", transaction.name])
        set_sysctl(transaction, parts, value, lasting=not bound)


def set_sysctl(
    transaction: Transaction, parts: Sequence[str], value: str, *, only: str | None = None, lasting: bool = True
) -> None:
    """Write one setting if it differs, and, with *only*, if it is that; its name comes in its parts."""
    path, what = "/".join([PROC_SYS, *parts]), f"sysctl {'.'.join(parts)} to {value}"
    with contextlib.ExitStack() as close, transaction.explained(what):
        try:
            file = transaction.origin.open(path)
        except PermissionError:
            with contextlib.suppress(OSError):
                if Path(path).read_text().split() == value.split():  # it is as it should be
                    return
            raise
        close.callback(os.close, file)
        before = os.pread(file, MESSAGE, 0).decode()
        if before.split() == value.split() or only not in (None, before.strip()):
            return
        close.pop_all()
    undo = {"ours": value, "before": before} if lasting else None
    transaction.step(what, lambda: _write(file, value, before), undo, file)


def _write(file: int, value: str, before: str) -> None:
    os.pwrite(file, value.encode(), 0)
    if os.pread(file, MESSAGE, 0).split() != value.encode().split():
        os.pwrite(file, before.encode(), 0)
        raise OSError(errno.EINVAL, "the kernel made something else of it")
