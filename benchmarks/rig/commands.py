"""The programs that are measured: what starts them, and what they need."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from aiotun import speedups
from rig.question import Missing

HERE = Path(__file__).resolve().parents[1]
BUILD = HERE / "build"

FLAGS = ("-O3", "-Wall", "-Wextra")
"""Those of the C twin: neither is compiled for this processor alone."""

BY_HAND = {
    "one read a callback": ("callback", None),
    "naive asyncio": ("naive", None),
    "asyncio.Queue": ("queue", None),
    "thread per packet": ("thread", None),
    "python-pytun": ("pytun", "pytun"),
    "scapy": ("scapy", "scapy"),
    "socat": ("socat", "socat"),
}
"""What is done without aiotun: its name on the page, its name to the programs, and the module or program it needs."""


@attrs.frozen
class Command:
    """A program with its arguments."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = attrs.field(factory=dict)
    needs: str | None = None
    twin: bool = False
    """Whether it is aiotun with the C twin."""

    def check(self) -> None:
        """Raise Missing if it cannot run here."""
        if self.twin and not speedups.active:
            raise Missing(f"the C twin is not in use: {speedups.reason}")
        if self.needs and not shutil.which(self.needs) and not importlib.util.find_spec(self.needs):
            raise Missing(f"{self.needs} is not installed")


def c(name: str, *arguments: object) -> Command:
    """Compile ``c/name.c`` if it is newer than its binary, and return the command that runs it."""
    binary = BUILD / name
    sources = [HERE / "c" / f"{name}.c", *(HERE / "c").glob("*.h")]
    if not binary.exists() or binary.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        BUILD.mkdir(exist_ok=True)
        fresh = BUILD / f"{name}.{os.getpid()}"  # another process may be about the same
        subprocess.run(["cc", *FLAGS, "-o", fresh, sources[0]], check=True)
        fresh.replace(binary)
    return Command((str(binary), *map(str, arguments)))


def python(program: str, *arguments: object, needs: str | None = None) -> Command:
    """Return the command that runs ``programs/program.py`` on this interpreter."""
    return Command((sys.executable, "-m", f"programs.{program}", *map(str, arguments)), needs=needs)


def ours(program: str, *arguments: object, pure: bool = False) -> Command:
    """Return the command that runs a program with aiotun, with its C twin or in Python alone."""
    command = python(program, *arguments)
    return attrs.evolve(command, environment={"AIOTUN_PURE": "1" if pure else "0"}, twin=not pure)


def by_hand(program: str, *arguments: object, without: tuple[str, ...] = ()) -> dict[str, Command]:
    """Return the commands of everything that is not aiotun, by name."""
    return {
        name: python(program, *arguments, f"--variant={variant}", needs=needs)
        for name, (variant, needs) in BY_HAND.items()
        if name not in without
    }
