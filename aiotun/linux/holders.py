"""Who holds a tun or tap device: the answer to "device or resource busy"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["holders"]


def holders(name: str, *, proc: Path = Path("/proc")) -> list[str]:
    """
    Return the processes that have the device open, as ``"program (pid 42)"``.

    Reads the ``iff:`` line the tun driver adds to fdinfo (tun_chr_show_fdinfo() in Linux drivers/net/tun.c).
    Sees what the caller may see: other users' processes only as root.
    """
    return [f"{_program(process)} (pid {process.name})" for process in _processes(proc) if _holds(process, name)]


def _processes(proc: Path) -> Iterator[Path]:
    return (entry for entry in proc.iterdir() if entry.name.isdigit())


def _holds(process: Path, name: str) -> bool:
    wanted = f"iff:\t{name}\n"
    try:
        return any(wanted in info.read_text() for info in (process / "fdinfo").iterdir() if _is_tun(process, info.name))
    except OSError:  # it ended, or is not ours to look into
        return False


def _is_tun(process: Path, fd: str) -> bool:
    return str((process / "fd" / fd).readlink()).endswith("/net/tun")


def _program(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a program"
