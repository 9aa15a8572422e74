"""A program that runs: what it says, why it ended, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rig.commands import HERE, Command
from rig.question import Figures

CPUS = sorted(os.sched_getaffinity(0))
MEASURED_CPU, SOURCE_CPU = CPUS[0], CPUS[-1]


class Program:
    """
    A process, on one CPU and ahead of the machine's other work; without a CPU it runs as others do.

    It ends with this process, however that ends.

    Raises:
        Missing: If the command cannot run here.
    """

    def __init__(self, command: Command, cpu: int | None, enter: Sequence[str] = ()) -> None:
        command.check()
        self._complaints = tempfile.TemporaryFile("w+")
        ahead = [] if cpu is None else ["nice", "-n", "-20", "taskset", "-c", str(cpu)]
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *ahead, *enter, *command.words],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env=os.environ | {"PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"} | dict(command.environment),
        )
        self.pid = self._process.pid
        if ahead:
            # With autogroups, nice counts only among the processes of one session. Not every user may do this.
            with contextlib.suppress(OSError):
                Path(f"/proc/{self.pid}/autogroup").write_text("-20")

    @property
    def status(self) -> int | None:
        """Its exit status, if it has ended."""
        return self._process.poll()

    def line(self) -> str:
        """Wait for a line that it prints."""
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        if not told:
            self._process.wait()
            raise RuntimeError(self.last_words())
        return told.strip()

    def figures(self) -> Figures:
        """Wait for a line of JSON."""
        found: Figures = json.loads(self.line())
        return found

    def output(self) -> str:
        """Wait for its end, and return all that it printed."""
        printed = self._process.communicate()[0]
        if self.status:
            raise RuntimeError(self.last_words())
        return printed

    def last_words(self) -> str:
        """Return why it ended, in its own words if it had any."""
        self._complaints.seek(0)
        said = self._complaints.read().splitlines()
        return said[-1] if said else f"it ended with status {self.status}"

    def stop(self) -> None:
        """End it and wait for its end, so that its tun is free again."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._complaints.close()


@contextmanager
def running(
    command: Command, cpu: int | None = MEASURED_CPU, namespace: str | None = None, *, ready: bool = True
) -> Iterator[Program]:
    """A program, until the block ends; it begins once the program says that it is ready for traffic."""
    program = Program(command, cpu, ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else [])
    try:
        if ready and program.line() != "ready":
            raise RuntimeError(f"{' '.join(command.words)} did not become ready")
        yield program
    except RuntimeError as error:
        if program.status:  # it failed by itself, and that is why
            raise RuntimeError(program.last_words()) from error
        raise
    finally:
        program.stop()


@contextmanager
def source(command: Command, namespace: str) -> Iterator[Program]:
    """A source of traffic in that namespace, until the block ends."""
    with running(command, SOURCE_CPU, namespace, ready=False) as program:
        yield program
