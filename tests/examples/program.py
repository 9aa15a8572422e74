"""An example as a process of its own, and the namespaces it works between."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

PATIENCE = 30.0
"""Seconds after which a program that says nothing is killed, and its test fails."""


class Program:
    """
    ``with Program("name.py", ...) as program:`` runs an example until the block ends, then SIGTERMs it.

    Every warning is an error in it, and asyncio looks out for mistakes. The first line it prints,
    ``ready``, is awaited on entry; what it printed after that is in ``lines`` once it ended, and its
    exit status in ``status``. With *netns* it runs inside that namespace.
    """

    def __init__(self, name: str, *arguments: str, netns: str | None = None) -> None:
        self.name = name
        self._command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
        if netns is not None:
            self._command[:0] = ["ip", "netns", "exec", netns]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._environment = os.environ | {"PYTHONPATH": path, "PYTHONASYNCIODEBUG": "1"}
        self.ready = ""
        self.lines: list[str] = []
        self.errors = ""
        self.status: int | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._killer = threading.Timer(PATIENCE, self._process.kill)
        self._killer.start()
        assert self._process.stdout is not None
        self.ready = self._process.stdout.readline().rstrip("\n")
        if not self.ready:
            self._finish()
        assert self.ready, f"{self.name} ended before it was ready: {self.errors}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._finish()

    def _finish(self) -> None:
        output, self.errors = self._process.communicate()
        self._killer.cancel()
        self._killer.join()
        self.lines = output.splitlines()
        self.status = self._process.returncode


def finished(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an example that ends by itself, every warning an error in it."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def printed_by(name: str, *arguments: str) -> list[str]:
    """Run an example that ends well and without complaints; return the lines it printed."""
    done = finished(name, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@contextmanager
def namespaces(*names: str) -> Iterator[None]:
    """Make network namespaces, with their loopback up, for as long as the block lasts."""
    made = []
    try:
        for name in names:
            run("ip", "netns", "add", name)
            made.append(name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in made:
            run("ip", "netns", "del", name)


def ping(netns: str, address: str, count: int) -> int:
    """Ping *address* from a namespace, a thousand times a second, and return how many answers came."""
    output = run("ip", "netns", "exec", netns, "ping", "-q", "-c", str(count), "-i", "0.001", "-W", "2", address)
    received = re.search(r"(\d+) received", output)
    assert received, output
    return int(received[1])


def run(*command: str) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    # ping answers 1 when an answer is missing, which is for the test to judge.
    assert done.returncode == 0 or "ping" in command, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def free_of_complaints(program: Program) -> Sequence[str]:
    """Return what is wrong with how the program ended: nothing, for one that ended well."""
    # In debug mode asyncio reports a step of more than 0.1 s, which a busy machine makes of any.
    wrong = [line for line in program.errors.splitlines() if line and not line.startswith("Executing <")]
    if program.status:
        wrong.append(f"exit status {program.status}")
    return wrong
